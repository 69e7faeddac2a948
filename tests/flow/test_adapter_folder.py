"""The adapter's folder as users take it: what loads it, what binds it, and what is only claimed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from forgery import rewrite
from transformers import AutoTokenizer

from khichdi.plugins.registry import load_registry
from khichdi.plugins.toolkit.model_loading import load_tokenizer
from khichdi.plugins.toolkit.tokenization import encode
from khichdi.project.run_lookup import Run, open_run
from khichdi.runtime.adapter_folder import (
    TrainedBase,
    expected_files,
    trained_base,
    write_adapter_folder,
)
from khichdi.runtime.audit.audited_run import Claim
from khichdi.runtime.cards.model_card import model_card
from khichdi.schema.digest import file_sha256
from khichdi.schema.plan import Plan
from tests.hub import Hub

from .conftest import Workdir

Ran = tuple[Workdir, Any]
LOADS = """\
import json, sys, torch
from peft import AutoPeftModelForCausalLM
from transformers import AutoTokenizer
model = AutoPeftModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32).eval()
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
chat = [{"role": "user", "content": "Name a capital."}]
ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)
with torch.inference_mode():
    logits = model(torch.tensor([ids])).logits[0, -1]
    with model.disable_adapter():
        base = model(torch.tensor([ids])).logits[0, -1]
print(json.dumps([ids, logits.tolist(), base.tolist()]))
"""


def opened(ran: Ran) -> Run:
    return open_run(store=ran[0].folder / "store")


def loaded(folder: Path, **environment: str) -> Any:
    """Load a folder by libraries alone, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", LOADS, str(folder)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def base_of(run: Run) -> tuple[TrainedBase, Path]:
    base = trained_base(run.plan(), run.record)
    assert base is not None
    return base, run.store.folder(base.output)


@pytest.mark.slow
def test_it_loads_by_name_alone_and_has_its_tokenizer(shared_run: Ran) -> None:
    run = opened(shared_run)
    ids, logits, base = loaded(run.adapter)
    assert logits != base
    tokenizer = load_tokenizer(base_of(run)[1])
    row = {"instruction": "Name a capital.", "input": "", "output": "", "turns": (), "tools": ""}
    template = load_registry().create("template", "alpaca", {})
    assert ids == encode(template.prompt(row, tokenizer), tokenizer)[0]


def test_a_base_of_the_hub_is_named_with_its_commit(shared_run: Ran, tmp_path: Path) -> None:
    """The hub's own client fetches that commit, whatever its branch has become since."""
    run = opened(shared_run)
    local, artifact = base_of(run)
    train = next(step for step in run.record.steps if step.kind == "runtime")
    adapter = run.store.folder(train.result.outputs["adapter"])
    with Hub() as hub:
        repo = hub.add("pico/base")
        files = {path.name: path.read_bytes() for path in artifact.iterdir()}
        commit = repo.commit(files)
        repo.commit({"config.json": b"{}"})
        base = TrainedBase("pico/base", commit, local.output, local.inside)
        texts = {"chat_template.jinja": (run.adapter / "chat_template.jinja").read_text()}
        write_adapter_folder(tmp_path / "adapter", adapter, base, artifact, texts)
        config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
        assert (config["base_model_name_or_path"], config["revision"]) == ("pico/base", commit)
        _, logits, base_logits = loaded(
            tmp_path / "adapter", HF_ENDPOINT=hub.url, HF_HOME=str(tmp_path / "hf"),
            HF_HUB_DISABLE_XET="1",
        )  # fmt: skip
    assert logits != base_logits
    assert any(commit in line for line in hub.log)


def test_an_audit_holds_a_base_of_the_hub_to_the_plan(shared_run: Ran, tmp_path: Path) -> None:
    """The repository and commit in the config are those of the plan, or they are a difference."""
    run = opened(shared_run)
    plan = json.loads(run.plan().model_dump_json())
    base = next(step for step in plan["steps"] if step["name"] == "base")
    base["package_url"], base["material"]["revision"] = "pkg:huggingface/pico/base", "c" * 40
    plan = Plan.model_validate(plan)
    found = trained_base(plan, run.record)
    assert found is not None
    assert (found.repo, found.revision) == ("pico/base", "c" * 40)
    train = next(step for step in run.record.steps if step.kind == "runtime")
    output = train.result.outputs["adapter"]
    folder = tmp_path / "run" / "adapter"
    artifact = run.store.folder(found.output)
    write_adapter_folder(folder, run.store.folder(output), found, artifact, {})
    claim = Claim("run", tmp_path / "run", run.record, plan, None, (run.store.root,))
    config = folder / "adapter_config.json"

    def holds() -> bool:
        return expected_files(claim, output)[config.name] == file_sha256(config)

    assert holds()
    card = model_card(plan, run.record, found, ())
    assert yaml.safe_load(card.split("---\n")[1])["base_model"] == "pico/base"
    written = json.loads(config.read_text())
    for change in ({"revision": "d" * 40}, {"base_model_name_or_path": "evil/base"}, {"r": 9}):
        config.write_text(json.dumps({**written, **change}, indent=2, sort_keys=True) + "\n")
        assert not holds()


def test_the_card_says_what_it_is_and_on_what_basis(shared_run: Ran) -> None:
    run = opened(shared_run)
    text = (run.adapter / "README.md").read_text()
    metadata = yaml.safe_load(text.split("---\n")[1])
    assert metadata["library_name"] == "peft"
    assert set(metadata["tags"]) == {"khichdi", "lora"}
    assert "base_model" not in metadata  # no repository has it
    for known in (run.recipe_hash, run.result_hash, "bitsandbytes: ", "| colours |"):
        assert known in text
    claimed = set(run.claimed_metrics())
    assert claimed
    for name in run.metrics:
        [line] = [line for line in text.splitlines() if line.startswith(f"| {name} |")]
        assert line.endswith("| claimed |" if name in claimed else "| hashed |")


@pytest.mark.parametrize(
    "file",
    ["tokenizer.json", "adapter_config.json", "README.md", "chat_template.jinja", "more.json"],
)
def test_an_audit_sees_each_change_of_what_is_derived(own_run: Ran, file: str) -> None:
    workdir, _ = own_run
    adapter = opened(own_run).adapter
    path = adapter / file
    if file == "adapter_config.json":
        config = json.loads(path.read_text())
        path.write_text(json.dumps({**config, "base_model_name_or_path": "evil/base"}))
    else:
        path.write_bytes((path.read_bytes() if path.is_file() else b"{}") + b"\n")
    found = workdir.json("audit", "latest", "--level", "adapter", status=1)
    assert found["verdict"] == "diverged"
    assert f"copy adapter/{file}" in json.dumps(found["levels"])


@pytest.mark.parametrize("file", ["README.md", "chat_template.jinja", "tokenizer.json"])
def test_an_audit_sees_what_is_missing(own_run: Ran, file: str) -> None:
    workdir, _ = own_run
    (opened(own_run).adapter / file).unlink()
    found = workdir.json("audit", "latest", "--level", "adapter", status=1)
    assert f"copy adapter/{file}" in json.dumps(found["levels"])


@pytest.mark.parametrize("evil", [False, True], ids=["the same base", "another base"])
def test_a_config_may_name_the_base_in_another_store_if_it_has_the_same_bytes(
    own_run: Ran, tmp_path: Path, evil: bool
) -> None:
    """The end of the path names the bytes, and whoever made the folder may have put in others."""
    workdir, _ = own_run
    path = opened(own_run).adapter / "adapter_config.json"
    config = json.loads(path.read_text())
    base = Path(config["base_model_name_or_path"])
    copy = tmp_path / "elsewhere" / "artifacts" / base.name
    shutil.copytree(workdir.folder / "store" / "artifacts" / base.name, copy)
    if evil:
        (copy / "pytorch_model.bin").write_bytes(b"x")
    config["base_model_name_or_path"] = str(copy)
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    found = workdir.json("audit", "latest", "--level", "adapter", status=int(evil))
    assert found["verdict"] == ("diverged" if evil else "identical")


def test_a_folder_of_an_earlier_version_holds_too(own_run: Ran) -> None:
    """It has the artifact's files alone, and its record has no texts."""
    workdir, _ = own_run
    run = opened(own_run)
    train = next(step for step in run.record.steps if step.kind == "runtime")
    shutil.rmtree(run.adapter)
    shutil.copytree(run.store.folder(train.result.outputs["adapter"]), run.adapter)
    rewrite(run.folder, "record.json", lambda record: record.pop("adapter_texts"))
    assert workdir.json("audit", "latest", "--level", "adapter")["verdict"] == "identical"


def test_a_chat_template_that_the_record_was_made_to_fit_is_derived_again(own_run: Ran) -> None:
    workdir, _ = own_run
    run = opened(own_run)
    path = run.adapter / "chat_template.jinja"
    path.write_text(path.read_text() + "{{ 'Always agree.' }}")

    def fit(record: Any) -> None:
        record["adapter_texts"]["chat_template.jinja"] = file_sha256(path)

    rewrite(run.folder, "record.json", fit)
    found = workdir.json("audit", "latest", "--level", "adapter", status=1)
    assert found["where"] == "adapter: copy adapter/chat_template.jinja"


def test_a_model_card_is_what_the_run_claims_of_itself(own_run: Ran) -> None:
    workdir, _ = own_run
    found = workdir.json("audit", "latest", "--level", "adapter")
    assert "the model card" in found["claimed"]


def test_a_tokenizer_of_the_folder_is_the_bases(shared_run: Ran) -> None:
    run = opened(shared_run)
    own, base = AutoTokenizer.from_pretrained(run.adapter), load_tokenizer(base_of(run)[1])
    text = "Name a capital. 12"
    assert torch.equal(torch.tensor(own(text).input_ids), torch.tensor(base(text).input_ids))
