"""A recipe from YAML to a trained, hashed model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .conftest import Workdir

Ran = tuple[Workdir, Any]


def test_a_run_says_what_scripts_rely_on(shared_run: Ran) -> None:
    workdir, document = shared_run
    assert set(document) >= {
        "run", "recipe_hash", "result_hash", "adapter", "steps", "metrics"
    }  # fmt: skip
    assert {"name", "kind", "plugin", "key", "digest", "status", "seconds"} <= set(
        document["steps"][0]
    )
    run = Path(document["run"])
    assert (run / "adapter" / "adapter_model.safetensors").is_file()
    assert (run / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert document["metrics"]["eval_loss"] < document["metrics"]["eval_loss_before"]
    assert set(document["metrics"]) >= {"exact_match", "exact_match_before"}
    assert workdir.folder / "pico.lock" in workdir.folder.iterdir()


def test_the_record_has_counts_seeds_versions_and_drops(shared_run: Ran) -> None:
    _, document = shared_run
    record = json.loads((Path(document["run"]) / "record.json").read_text())
    steps = {step["name"]: step for step in record["steps"]}
    dropped = steps["data/capitals/filter/max-words"]["result"]["facts"]
    # Inputs have 1 + n % 7 words: of 30 rows those with n % 7 of 5 and 6 have 6 words or more.
    expected = sum(n % 7 >= 5 for n in range(30))
    assert dropped["drops"] == {"too-long": expected}
    assert dropped["rows_out"] == 30 - expected
    assert steps["train"]["seed"] is not None
    assert record["environment"]["packages"]["torch"]
    assert record["plugins"][0]["name"] == "khichdi"
    assert str(Path.home()) not in json.dumps(record)


def test_the_record_has_the_estimate_beside_what_was_measured(shared_run: Ran) -> None:
    workdir, document = shared_run
    run = Path(document["run"])
    record = json.loads((run / "record.json").read_text())
    found = record["estimate"]
    assert document["estimate"] == found
    measured = next(s for s in record["steps"] if s["name"] == "train")["result"]["measured"]
    assert found["measured_memory_bytes"] == measured["peak_memory_bytes"]
    assert measured["peak_memory_bytes"] > measured["memory_before_bytes"] > 0
    assert found["measured_seconds"] == measured["seconds"]
    # Of a miniature the process with its libraries is nearly all.
    assert found["memory_bytes"] == pytest.approx(measured["peak_memory_bytes"], rel=0.25)
    status, out, _ = workdir.call("runs", run.name)
    assert status == 0
    line = next(line for line in out.splitlines() if line.startswith("memory"))
    assert "estimated" in line
    assert "measured" in line


def test_run_again_executes_nothing(own_run: Ran) -> None:
    workdir, before = own_run
    again = workdir.json("run", "pico.yaml")
    assert workdir.ran(again) == []
    assert again["result_hash"] == before["result_hash"]


def test_a_run_from_the_store_imports_no_heavy_library(own_run: Ran) -> None:
    workdir, _ = own_run
    script = (
        "import sys; from khichdi.cli.main import main; main(['run', 'pico.yaml', '-q']);"
        "print([m for m in ('torch', 'transformers', 'pyarrow') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=workdir.folder,
        env={**os.environ, "KHICHDI_STORE": str(workdir.folder / "store")},
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines()[-1] == "[]", done.stdout + done.stderr


def test_the_second_implementation_derives_the_hashes_of_a_real_run(own_run: Ran) -> None:
    """It sees every digest agree, and one that does not when a byte of an artifact is another."""
    workdir, document = own_run
    script = Path(__file__).parents[2] / "docs" / "recipe_hash.py"
    command = [sys.executable, str(script), document["run"], str(workdir.folder / "store")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=workdir.folder)
    count = int(done.stdout.split()[0])
    assert done.stdout == f"{count} of {count} digests agree\n", done.stderr
    assert count > 60
    damaged = sorted((workdir.folder / "store").glob("artifacts/*/values.json"))[0]
    damaged.chmod(0o644)
    damaged.write_bytes(damaged.read_bytes() + b" ")
    done = subprocess.run(command, capture_output=True, text=True, cwd=workdir.folder)
    assert done.returncode == 1
    assert done.stdout.splitlines()[0].startswith(str(damaged))
    assert done.stdout.endswith(f"{count - 1} of {count} digests agree\n")


def test_changing_the_learning_rate_reruns_training_and_what_follows(own_run: Ran) -> None:
    workdir, before = own_run
    workdir.edit("learning_rate: 1.0e-3", "learning_rate: 2.0e-3")
    again = workdir.json("run", "pico.yaml")
    assert workdir.ran(again) == ["train", "evaluate/generate/adapter"]
    assert again["recipe_hash"] != before["recipe_hash"]
    assert again["result_hash"] != before["result_hash"]


def test_changing_a_filter_reruns_only_what_is_downstream(own_run: Ran) -> None:
    workdir, _ = own_run
    workdir.edit("below: 6", "below: 5")
    ran = workdir.ran(workdir.json("run", "pico.yaml"))
    assert ran[0] == "data/capitals/filter/max-words"
    assert not any(name.startswith(("base", "data/colours")) for name in ran)
    assert "train" in ran


def test_other_parameters_that_keep_the_same_rows_give_the_same_result(own_run: Ran) -> None:
    """A word more is counted in each row, and one more allowed: the same rows, the same model."""
    workdir, before = own_run
    workdir.edit("fields: [input], below: 6", "fields: [input, output], below: 7")
    again = workdir.json("run", "pico.yaml")
    assert "train" in workdir.ran(again)
    assert again["recipe_hash"] != before["recipe_hash"]
    assert again["result_hash"] == before["result_hash"]


def test_adding_a_source_does_not_move_the_rows_of_another(own_run: Ran) -> None:
    workdir, before = own_run
    workdir.edit(
        "  colours:\n",
        "  animals:\n    source: {use: files, include: [capitals.jsonl]}\n"
        "    read: {use: jsonl}\n  colours:\n",
    )
    again = workdir.json("run", "pico.yaml")
    digests = {step["name"]: step["digest"] for step in again["steps"]}
    for step in before["steps"]:
        if step["name"].startswith("data/"):
            assert digests[step["name"]] == step["digest"]


def test_the_adapter_loads_without_khichdi(shared_run: Ran, tmp_path: Path) -> None:
    """Plain peft and transformers give the held-out logits that our own loader gives."""
    workdir, document = shared_run
    script = f"""
import sys, torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer
base = {str(workdir.folder / "base")!r}
model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
model = PeftModel.from_pretrained(model, {document["adapter"]!r}).eval()
ids = AutoTokenizer.from_pretrained(base)("What is the capital?", return_tensors="pt")
with torch.no_grad():
    torch.save(model(**ids).logits, {str(tmp_path / "plain.pt")!r})
assert not any(name.startswith("khichdi") for name in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    import torch

    from khichdi.plugins.registry import load_registry
    from khichdi.plugins.toolkit.model_loading import load_model, load_tokenizer

    quantizer = load_registry().create("quantizer", "none", {"dtype": "float32"})
    model = load_model(workdir.folder / "base", quantizer)
    from peft import PeftModel

    model = PeftModel.from_pretrained(model, document["adapter"]).eval()
    ids = load_tokenizer(workdir.folder / "base")("What is the capital?", return_tensors="pt")
    with torch.no_grad():
        ours = model(**ids).logits
    assert torch.allclose(torch.load(tmp_path / "plain.pt"), ours, atol=1e-5)


def test_diff_says_beforehand_what_runs_again(own_run: Ran) -> None:
    workdir, _ = own_run
    variant = "extends: pico.yaml\nrecipe: 1\nname: variant\ntrain: {learning_rate: 2.0e-3}\n"
    (workdir.folder / "variant.yaml").write_text(variant)
    document = workdir.json("diff", "pico.yaml", "variant.yaml", status=1)
    (change,) = document["changes"]
    assert (change["path"], change["before"], change["after"]) == (
        "train.learning_rate",
        0.001,
        0.002,
    )
    assert document["reruns"] == workdir.ran(workdir.json("run", "variant.yaml"))
    assert workdir.json("diff", "pico.yaml", "pico.yaml")["same"]


def test_workers_are_outside_every_key_and_must_be_a_number(own_run: tuple[Workdir, Any]) -> None:
    workdir, before = own_run
    again = workdir.json("run", "pico.yaml", "--workers", "7")
    assert workdir.ran(again) == []
    assert again["result_hash"] == before["result_hash"]
    for command in ("run", "rehearse"):
        status, _, err = workdir.call(command, "pico.yaml", "--workers", "0")
        assert status == 2
        assert "--workers is `0`; a whole number from 1 on was expected" in err
