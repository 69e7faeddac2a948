"""An audit finds what is not as claimed, and names the level, the step and the place."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from forgery import change_values, flip_in_tensor, forge, poison, rewrite, step

from khichdi.cli.main import main
from khichdi.runtime.training_states import read_states
from khichdi.schema.audit import LEVELS, AuditReport
from khichdi.schema.digest import described_safetensors
from khichdi.schema.record import Record
from khichdi.schema.training_states import INDEX

from .conftest import Workdir

Ran = tuple[Workdir, Any]
UNDERIVED = ("rows_out", "samples", "truncated", "left_out")
"""Counts of packing that no artifact holds."""


def audit(workdir: Workdir, *words: str, status: int = 0) -> dict[str, Any]:
    """Audit in this process: starting another takes longer than the audit."""
    out = io.StringIO()
    store = str(workdir.folder / "store")
    with contextlib.redirect_stdout(out):
        assert main(["audit", "latest", *words, "--json", "--store", store]) == status
    found: dict[str, Any] = json.loads(out.getvalue())
    AuditReport.model_validate(found)
    return found


def level(found: dict[str, Any], name: str) -> dict[str, Any]:
    return next(level for level in found["levels"] if level["level"] == name)


def test_an_honest_run_is_identical_at_every_level(shared_run: Ran) -> None:
    found = audit(shared_run[0], "--strict")
    assert found["verdict"] == "identical"
    assert [(one["level"], one["verdict"]) for one in found["levels"]] == [
        (name, "identical") for name in LEVELS
    ]
    assert {one["level"]: one["basis"] for one in found["levels"]} == {
        **dict.fromkeys(("recipe", "plan", "environment", "exports"), "derived"),
        **dict.fromkeys(("sources", "base weights"), "derived"),
        **dict.fromkeys(("data", "batches", "steps", "adapter", "metrics"), "hashed"),
        "starting weights": "read",
    }
    assert (found["mode"], found["basis"], found["passed"]) == ("bytes", "read", False)
    claimed = {
        name for one in found["levels"] for name in one["claimed"] if ".token_lengths." not in name
    }
    assert claimed == {
        *(f"pack {side}.{count}" for side in ("train", "validation") for count in UNDERIVED),
        "train metrics.eval_loss_before",
        "train metrics.trainable_parameters",
    }


def test_an_audit_needs_neither_plugins_nor_network_for_documents_and_bytes(own_run: Ran) -> None:
    workdir, _ = own_run
    rewrite(run_of(own_run), "record.json", lambda record: record.update(bound=None, files=[]))
    (run_of(own_run) / "recipe" / "pico.yaml").unlink()
    found = audit(workdir)
    assert level(found, "recipe")["verdict"] == "unverifiable"
    assert {one["verdict"] for one in found["levels"][1:]} == {"identical"}
    audit(workdir, "--strict", status=1)


def test_a_recipe_that_extends_files_elsewhere_is_compiled_from_the_kept_ones(own_run: Ran) -> None:
    workdir, _ = own_run
    (workdir.folder / "mine").mkdir()
    child = "recipe: 1\nname: child\nextends: ../pico.yaml\n"
    (workdir.folder / "mine" / "child.yaml").write_text(child)
    workdir.json("run", "mine/child.yaml", "--set", "seed=5")
    workdir.recipe.unlink()
    found = level(audit(workdir, "--level", "plan"), "recipe")
    assert (found["verdict"], found["basis"]) == ("identical", "derived")
    assert found["detail"] == "compiled again from child.yaml, pico.yaml with --set seed=5"


def test_plugins_with_other_files_make_the_environment_unverifiable(own_run: Ran) -> None:
    def edited(record: Any) -> None:
        (own,) = (one for one in record["plugins"] if one["name"] == "khichdi")
        own["files"] = "sha256:" + "0" * 64

    rewrite(run_of(own_run), "record.json", edited)
    found = level(audit(own_run[0]), "environment")
    assert found["verdict"] == "unverifiable"
    assert found["findings"][0]["at"].startswith("plugins of khichdi")
    assert found["findings"][0]["claimed"] == "sha256:" + "0" * 64


def run_of(own_run: Ran) -> Path:
    workdir, document = own_run
    return workdir.folder / "store" / "runs" / Path(document["run"]).name


def artifact(own_run: Ran, name: str, output: str) -> Path:
    workdir, _ = own_run
    record = Record.from_json((run_of(own_run) / "record.json").read_bytes(), "record.json")
    found = next(s for s in record.steps if s.name == name).result.outputs[output]
    return workdir.folder / "store" / "artifacts" / found.manifest.removeprefix("sha256:")


def in_record(change: Callable[[Any], None]) -> Callable[[Ran], None]:
    return lambda own_run: rewrite(run_of(own_run), "record.json", change)


def in_plan(change: Callable[[Any], None]) -> Callable[[Ran], None]:
    return lambda own_run: rewrite(run_of(own_run), "plan.json", change)


def in_lock(change: Callable[[Any], None]) -> Callable[[Ran], None]:
    return lambda own_run: rewrite(run_of(own_run), "recipe/pico.lock", change)


def in_bytes(name: str, output: str, file: str) -> Callable[[Ran], None]:
    def change(own_run: Ran) -> None:
        path = artifact(own_run, name, output) / file
        raw = bytearray(path.read_bytes())
        raw[len(raw) // 2] ^= 1
        path.chmod(0o644)
        path.write_bytes(raw)

    return change


def edit_recipe(own_run: Ran) -> None:
    path = run_of(own_run) / "recipe" / "pico.yaml"
    path.write_text(path.read_text().replace("seed: 5", "seed: 6"))


def add_file(own_run: Ran) -> None:
    (artifact(own_run, "mixture", "rows") / "more").write_text("x")


def replace_by_link(own_run: Ran) -> None:
    path = artifact(own_run, "pack", "train") / "table.arrow"
    shutil.copyfile(path, own_run[0].folder / "elsewhere")
    path.unlink()
    path.symlink_to(own_run[0].folder / "elsewhere")


def swap_adapter(own_run: Ran) -> None:
    path = run_of(own_run) / "adapter" / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes() + b"\0")


def other_digest(text: str) -> str:
    return text[:-1] + ("0" if text[-1] != "0" else "1")


DIVERGENCES: dict[str, tuple[Callable[[Ran], None], str, str]] = {
    "the recipe's text": (edit_recipe, "recipe", "file recipe/pico.yaml"),
    "the bound recipe": (
        in_record(lambda r: r["bound"]["train"].update(learning_rate=0.5)),
        "recipe",
        "field train.learning_rate",
    ),
    "a parameter in the plan": (
        in_plan(lambda p: step(p, "train")["plugin"]["params"].update(num_epochs=9)),
        "plan",
        "step train, key",
    ),
    "the seed of a step": (
        in_record(lambda r: step(r, "train").update(seed=1)), "plan", "step train, seed",
    ),
    "a plugin's version": (
        in_record(lambda r: step(r, "split").update(version=7)),
        "plan",
        "step split, plugin version",
    ),
    "a step that did not run": (
        in_record(lambda r: r["steps"].pop(3)), "recipe", ", key",
    ),
    "the recipe hash": (
        in_record(lambda r: r.update(recipe_hash=other_digest(r["recipe_hash"]))),
        "recipe",
        "recipe hash",
    ),
    "a pinned file": (
        in_lock(lambda m: m["materials"]["base"]["files"][0].update(size=1)),
        "sources",
        "seal of the lock",
    ),
    "a source's bytes": (
        in_bytes("data/capitals/source", "files", "capitals.jsonl"),
        "sources",
        "step data/capitals/source#files, file capitals.jsonl",
    ),
    "rows": (
        in_bytes("data/capitals/sample", "rows", "table.arrow"),
        "data",
        "step data/capitals/sample#rows, file table.arrow",
    ),
    "a row count": (
        in_record(lambda r: step(r, "data/capitals/read")["result"]["facts"].update(rows_out=31)),
        "data",
        "step data/capitals/read, rows_out",
    ),
    "a file too many": (add_file, "data", "step mixture#rows, file more"),
    "a link instead of a file": (replace_by_link, "batches", "step pack#train, file table.arrow"),
    "a content digest": (
        in_record(
            lambda r: step(r, "pack")["result"]["outputs"]["train"].update(
                digest="sha256:" + "0" * 64
            )
        ),
        "batches",
        "step pack#train, content digest",
    ),
    "the digests of weights": (
        in_bytes("train", "weights", "values.json"),
        "starting weights",
        "step train#weights, file values.json",
    ),
    "the trace": (in_bytes("train", "trace", "values.json"), "steps", "step train#trace, file"),
    "the adapter": (
        in_bytes("train", "adapter", "adapter_model.safetensors"),
        "adapter",
        "step train#adapter, file adapter_model.safetensors",
    ),
    "the adapter that people take": (
        swap_adapter, "adapter", "step train, copy adapter/adapter_model.safetensors",
    ),
    "predictions": (
        in_bytes("evaluate/generate/adapter", "predictions", "values.json"),
        "metrics",
        "step evaluate/generate/adapter#predictions, file",
    ),
    "a metric": (
        in_record(lambda r: r["metrics"].update(exact_match=1.5)), "metrics", "metric exact_match",
    ),
    "the result hash": (
        in_record(lambda r: r.update(result_hash=other_digest(r["result_hash"]))),
        "metrics",
        "result hash",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", DIVERGENCES)
def test_a_divergence_is_named_by_level_step_and_place(own_run: Ran, what: str) -> None:
    change, expected, where = DIVERGENCES[what]
    change(own_run)
    found = audit(own_run[0], status=1)
    assert found["verdict"] == "diverged"
    first = next(one for one in found["levels"] if one["verdict"] == "diverged")
    assert first["level"] == expected
    assert where in first["where"]
    finding = first["findings"][0]
    assert finding["claimed"] != finding["derived"]
    assert found["where"] == f"{expected}: {first['where']}"


def test_a_rerun_names_the_row_and_field_of_a_forged_table(own_run: Ran) -> None:
    workdir, _ = own_run
    store = workdir.folder / "store"
    poison(run_of(own_run), store, "data/capitals/read", 7, "Lima")
    assert audit(workdir)["verdict"] == "identical"  # the forger left no trace in the bytes
    found = audit(workdir, "--rerun", "--level", "data", status=1)
    finding = level(found, "data")["findings"][0]
    assert finding["step"] == "data/capitals/read"
    assert finding["at"].startswith("row 7 (id ")
    assert finding["at"].endswith(", output")
    assert (finding["claimed"], finding["derived"]) == ("Lima", "Rome")
    assert level(found, "batches")["verdict"] == "not run"


def test_a_rerun_names_the_training_step_and_the_tensor_of_a_forged_training(own_run: Ran) -> None:
    workdir, _ = own_run
    run, store = run_of(own_run), workdir.folder / "store"
    header = (run / "adapter" / "adapter_model.safetensors").read_bytes()
    names = json.loads(header[8 : 8 + int.from_bytes(header[:8], "little")])
    tensor = sorted(name for name in names if name != "__metadata__")[3]
    forge(run, store, "train", "adapter", flip_in_tensor(tensor, 5))
    states = read_states(artifact(own_run, "train", "states"))
    made = described_safetensors(run / "adapter" / "adapter_model.safetensors")[tensor]
    *before, last = states.bounds
    named = tensor.replace(".weight", ".default.weight")
    trained = {**last.tensors["adapter"], named: made}
    last = last.model_copy(update={"tensors": {**last.tensors, "adapter": trained}})

    def index(folder: Path) -> None:
        told = states.model_copy(update={"bounds": (*before, last)})
        (folder / INDEX).write_text(told.model_dump_json(indent=1) + "\n")

    def claim(trace: Any) -> None:
        trace[1].update(loss=0.25)
        trace[-1].update(state=last.digest())

    forge(run, store, "train", "states", index)
    forge(run, store, "train", "trace", change_values(claim))
    assert audit(workdir)["verdict"] == "identical"
    found = audit(workdir, "--rerun", status=1)
    verdicts = {one["level"]: one["verdict"] for one in found["levels"]}
    assert {verdicts[name] for name in LEVELS[:8]} == {"identical"}
    assert (verdicts["steps"], verdicts["adapter"]) == ("diverged", "diverged")
    assert verdicts["metrics"] == "not run"
    assert found["where"] == "steps: step train#trace, training step 2, loss"
    assert level(found, "steps")["findings"][0]["claimed"] == 0.25
    assert level(found, "adapter")["findings"][0]["at"] == f"tensor {tensor}, element 5"


def test_an_honest_run_is_identical_when_everything_is_executed_again(own_run: Ran) -> None:
    workdir, _ = own_run
    for name in ("capitals.jsonl", "colours.jsonl", "pico.yaml", "pico.lock"):
        (workdir.folder / name).unlink()  # the locked bytes are enough
    page = workdir.folder / "audit.html"
    found = audit(workdir, "--rerun", "--strict", "--html", str(page))
    assert found["verdict"] == "identical"
    executed = {one["level"]: one["basis"] for one in found["levels"][3:]}
    # Nothing was exported, and the sources' bytes were here: they are those of the lock.
    derived = {name for name in executed if executed[name] == "derived"}
    assert derived == {"sources", "base weights", "exports"}
    assert set(executed.values()) == {"derived", "executed"}
    assert (found["mode"], found["passed"]) == ("rerun", True)
    assert all(f'<th scope="row">{name}</th>' in page.read_text() for name in LEVELS)


def test_a_step_that_cannot_be_executed_here_is_no_proof_of_anything(own_run: Ran) -> None:
    workdir, _ = own_run
    shutil.rmtree(artifact(own_run, "data/colours/source", "files"))
    os.remove(workdir.folder / "colours.jsonl")
    found = audit(workdir, "--rerun", "--level", "data", "--data", str(workdir.folder))
    assert found["verdict"] == "unverifiable"
    assert "data/colours/source could not be executed" in level(found, "data")["detail"]


def test_the_page_escapes_what_a_run_says(own_run: Ran) -> None:
    workdir, _ = own_run
    rewrite(run_of(own_run), "record.json", lambda r: r["metrics"].update({"<script>": 1.0}))
    page = workdir.folder / "audit.html"
    audit(workdir, "--html", str(page), status=1)
    assert "<script>" not in page.read_text()
    assert "&lt;script&gt;" in page.read_text()


def test_a_damaged_document_is_an_error_that_names_it(own_run: Ran) -> None:
    workdir, _ = own_run
    path = run_of(own_run) / "plan.json"
    path.write_text(path.read_text().replace('"num_epochs": 3', '"num_epochs": 4'))
    code, out, err = workdir.call("audit", run_of(own_run).name)
    assert code == 2
    assert "plan.json: this plan is not as it was written" in out + err


@pytest.mark.slow
def test_on_another_device_the_first_training_step_that_differs_is_named(own_run: Ran) -> None:
    torch = pytest.importorskip("torch")
    if torch.backends.cpu.get_cpu_capability() != "AVX512":
        pytest.skip("this processor has no second set of instructions to compare with")
    workdir, _ = own_run
    workdir.environment = {"ATEN_CPU_CAPABILITY": "avx2"}
    found = workdir.json("audit", "latest", "--rerun", status=1)
    environment = level(found, "environment")
    assert environment["verdict"] == "unverifiable"
    assert environment["findings"][0]["claimed"] == "cpu AVX512"
    verdicts = {one["level"]: one["verdict"] for one in found["levels"]}
    assert {verdicts[name] for name in LEVELS[3:8]} == {"identical"}
    assert found["where"].startswith("steps: step train#trace, training step ")
