"""Forgeries by someone who seals every document again; each test says what the forger wanted."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from forgery import (
    change_values,
    forge,
    poison,
    reseal,
    retrain,
    rewrite,
    step,
)

from khichdi.cli.main import main
from khichdi.runtime.bundle.tar_format import laid_out
from khichdi.runtime.store.store import Store
from khichdi.runtime.training_states import read_states
from khichdi.schema.audit import LEVELS
from khichdi.schema.bundle import CONTENTS, Contents
from khichdi.schema.digest import file_sha256
from khichdi.schema.lock import Lock
from khichdi.schema.record import FileDigest, Record
from khichdi.schema.training_states import INDEX

from .conftest import Workdir
from .test_audit import artifact, audit, level, run_of
from .test_sign import write_key

Ran = tuple[Workdir, Any]
MODES = ([], ["--segments", "1"], ["--rerun"])


def recipe(workdir: Workdir, *words: str) -> tuple[int, Any]:
    """Run a command in this process, and return its status and document."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        status = main([*words, "--json", "--store", str(workdir.folder / "store")])
    return status, json.loads(out.getvalue())


# ---- documents ------------------------------------------------------------------------------


def test_an_evil_training_beside_the_honest_one(own_run: Ran) -> None:
    def insert(record: Any) -> None:
        record["steps"].insert(0, json.loads(json.dumps(step(record, "train"))))

    reseal(run_of(own_run), "record.json", insert)
    for mode in MODES:
        status, found = recipe(own_run[0], "audit", run_of(own_run).name, *mode)
        assert status == 2
        assert "the name 'train' is listed twice" in found["error"]["message"]


def test_a_run_whose_plan_nobody_can_execute(own_run: Ran) -> None:
    (run_of(own_run) / "plan.json").unlink()
    for mode in MODES:
        found = audit(own_run[0], *mode, status=1)
        assert found["where"] == "plan: plan.json"


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda text: text.replace("1.0e-3", "2.0e-3"), "field train.learning_rate"),
        (lambda text: text + "]]\n", "the recipe's text"),
        (lambda text: "extends: house-defaults.yaml\n" + text, "the recipe's text"),
    ],
    ids=["with another learning rate", "that does not parse", "that extends a file not shown"],
)
def test_a_recipe_shown_that_is_not_the_one_that_ran(
    own_run: Ran, change: Callable[[str], str], where: str
) -> None:
    path = run_of(own_run) / "recipe" / "pico.yaml"
    path.write_text(change(path.read_text()))
    sha = file_sha256(path)
    rewrite(run_of(own_run), "record.json", lambda record: record["files"][0].update(sha256=sha))
    assert audit(own_run[0], status=1)["where"] == f"recipe: {where}"


def test_a_base_that_is_said_to_come_from_elsewhere(own_run: Ran) -> None:
    def rename(plan: Any) -> None:
        step(plan, "base")["plugin"]["params"]["folder"] = "mistralai/Mistral-7B-v0.1"

    rewrite(run_of(own_run), "plan.json", rename)
    assert audit(own_run[0], status=1)["where"] == "recipe: step base, origin, params.folder"


def test_a_recipe_that_is_said_to_let_bits_differ(own_run: Ran) -> None:
    change = {"varies_by": "determinism: fast"}
    rewrite(run_of(own_run), "plan.json", lambda plan: plan.update(change))
    assert audit(own_run[0], status=1)["where"] == "recipe: varies by"


def test_pins_that_are_said_to_come_from_another_kind_of_source(own_run: Ran) -> None:
    def claim(document: Any) -> None:
        materials = document.get("materials") or {
            one["name"]: one["material"] for one in document["steps"]
        }
        materials["base"]["use"] = "huggingface"

    rewrite(run_of(own_run), "plan.json", claim)
    relock(run_of(own_run), claim)
    assert audit(own_run[0], status=1)["where"] == "base weights: step base, pins, use"


def relock(run: Path, change: Callable[[Any], None]) -> None:
    """Change a run's lock, and the record's seal of it."""
    rewrite(run, "recipe/pico.lock", change)
    seal = Lock.from_json((run / "recipe/pico.lock").read_bytes(), "pico.lock").seal()
    rewrite(run, "record.json", lambda record: record.update(lock=seal))


def test_data_that_is_said_to_have_been_trained_on(own_run: Ran) -> None:
    def claim(lock: Any) -> None:
        lock["materials"]["data/licensed/source"] = lock["materials"]["base"]

    relock(run_of(own_run), claim)
    where = "sources: lock, material data/licensed/source, of no step"
    assert audit(own_run[0], status=1)["where"] == where


def test_a_file_beside_the_recipe_that_no_document_names(own_run: Ran) -> None:
    (run_of(own_run) / "recipe" / "sitecustomize.py").write_text("")
    assert audit(own_run[0], status=1)["where"] == "recipe: file recipe/sitecustomize.py"


# ---- bytes ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "file", "expected"),
    [("base", "model.bin", "base weights"), ("data/capitals/source", "poison.jsonl", "sources")],
    ids=["another base model in front of the pinned shards", "poison among the pinned data"],
)
def test_a_file_that_the_lock_does_not_pin(
    own_run: Ran, source: str, file: str, expected: str
) -> None:
    store = own_run[0].folder / "store"
    forge(run_of(own_run), store, source, "files", lambda folder: (folder / file).write_text("x"))
    facts = step(json.loads((run_of(own_run) / "record.json").read_bytes()), source)["result"]
    sizes = [one["size"] for one in facts["outputs"]["files"]["files"].values()]
    rewrite(
        run_of(own_run), "record.json",
        lambda record: step(record, source)["result"]["facts"].update(
            files=len(sizes), bytes=sum(sizes)
        ),
    )  # fmt: skip
    for mode in MODES:
        found = audit(own_run[0], *mode, status=1)
        assert found["where"] == f"{expected}: step {source}#files, file {file}"


def test_a_store_whose_base_has_one_more_file(own_run: Ran) -> None:
    workdir, _ = own_run
    store = Store(workdir.folder / "store")
    record = Record.from_json((run_of(own_run) / "record.json").read_bytes(), "record.json")
    honest = next(one for one in record.steps if one.name == "base").result
    with store.staging() as staging:
        shutil.copytree(store.folder(honest.outputs["files"]), staging / "files")
        (staging / "files" / "pytorch_model.bin").write_bytes(b"x")
        made = store.publish(staging / "files", "files")
    store.forget(honest.key)
    store.keep(honest.model_copy(update={"outputs": {"files": made}}))
    workdir.edit("seed: 5", "seed: 6")
    status, out, err = workdir.call("run", "pico.yaml")
    assert status == 3
    assert "base does not hold exactly the pinned files" in out + err


def test_data_that_was_poisoned_before_an_honest_training(own_run: Ran) -> None:
    store = own_run[0].folder / "store"
    poison(run_of(own_run), store, "data/capitals/read", 7, "EVIL")
    assert level(audit(own_run[0]), "data")["basis"] == "hashed"
    found = audit(own_run[0], "--segments", "1", status=1)
    assert found["where"].startswith("data: step data/capitals/read#rows, row 7 ")
    assert found["replays"] == []


MEASURED = """
import resource, sys
from pathlib import Path
from khichdi.cli.main import main
status = main(sys.argv[1:])
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
own = Path("/proc/self/status")  # on Linux, as the other figure starts with the parent's peak
for line in own.read_text().splitlines() if own.is_file() else ():
    peak = int(line.split()[1]) if line.startswith("VmHWM:") else peak
print(peak >> 10, file=sys.stderr)
sys.exit(status)
"""


def test_an_auditor_s_memory_filled_by_a_small_table(own_run: Ran, tmp_path: Path) -> None:
    """A gibibyte of zeros is 40 KB of zstd; an audit of the run and of its bundle refuses it."""
    import pyarrow as pa

    workdir, run, name = own_run[0], run_of(own_run), "data/capitals/read"
    store = Store(workdir.folder / "store")

    def audited(target: str) -> tuple[Any, int]:
        words = ["audit", target, "--json", "--store", str(store.root)]
        done = subprocess.run(
            [sys.executable, "-c", MEASURED, *words], capture_output=True, text=True, check=False
        )
        return json.loads(done.stdout), int(done.stderr.split()[-1])

    _, honest = audited(run.name)
    record = Record.from_json((run / "record.json").read_bytes(), "record.json")
    rows = next(one for one in record.steps if one.name == name).result.outputs["rows"]
    with store.staging() as staging:
        (staging / "rows").mkdir()
        zeros = pa.table({"a": pa.array([bytes(1 << 30)], pa.binary()).view(pa.string())})
        options = pa.ipc.IpcWriteOptions(compression="zstd")
        with pa.ipc.new_file(
            staging / "rows" / "table.arrow", zeros.schema, options=options
        ) as file:
            file.write_table(zeros)
        made = store.publish(staging / "rows", "rows", rows.digest).to_json()
    rewrite(
        run, "record.json",
        lambda record: step(record, name)["result"]["outputs"].update(rows=made),
    )  # fmt: skip
    bundle = tmp_path / "run.bundle"
    allow = ("--allow", name)  # which a forger's own bundling would not need
    assert recipe(workdir, "bundle", run.name, "--with-data", *allow, "-o", str(bundle))[0] == 0
    for target in (run.name, str(bundle)):
        found, peak = audited(target)
        assert found["where"] == f"data: step {name}#rows, content digest"
        finding = next(one for one in found["levels"] if one["level"] == "data")["findings"][0]
        assert finding["derived"] == "it cannot be read: the table is compressed"
        assert peak < honest + 64, f"{peak} MiB, an honest run takes {honest}"


@pytest.mark.parametrize("gone", [False, True], ids=["beside it", "in its place"])
def test_a_pickle_that_people_load_instead_of_the_adapter(own_run: Ran, gone: bool) -> None:
    folder = run_of(own_run) / "adapter"
    (folder / "adapter_model.bin").write_bytes(b"\x80\x04.")
    if gone:
        (folder / "adapter_model.safetensors").unlink()
    assert "copy adapter/adapter_model.bin" in audit(own_run[0], status=1)["where"]


# ---- figures --------------------------------------------------------------------------------


FIGURES: dict[str, tuple[str, str, Callable[[Any], None]]] = {
    "a lower validation loss": (
        "steps", "metrics.eval_loss", lambda facts: facts["metrics"].update(eval_loss=0.0001),
    ),
    "fewer dropped rows": (
        "data", "drops", lambda facts: facts["drops"].update({"not-sampled": 0}),
    ),
    "more trained tokens": (
        "batches", "train.tokens", lambda facts: facts["train"].update(tokens=9),
    ),
    "more rows in": ("data", "rows_in", lambda facts: facts.update(rows_in=10**6)),
}  # fmt: skip
STEPS = {"data": "data/capitals/sample", "batches": "pack", "steps": "train"}


@pytest.mark.parametrize("wanted", FIGURES)
def test_a_figure_that_does_not_follow_from_the_artifacts(own_run: Ran, wanted: str) -> None:
    expected, at, change = FIGURES[wanted]

    def claim(record: Any) -> None:
        facts = step(record, STEPS[expected])["result"]["facts"]
        change(facts)
        record["metrics"].update(facts.get("metrics", {}))

    rewrite(run_of(own_run), "record.json", claim)
    assert audit(own_run[0], status=1)["where"] == f"{expected}: step {STEPS[expected]}, {at}"


def test_a_score_that_the_predictions_do_not_give(own_run: Ran) -> None:
    name = "evaluate/generate/adapter"
    better = {"exact_match": 1.0}
    forge(
        run_of(own_run), own_run[0].folder / "store", name, "metrics",
        change_values(lambda values: values.update(better)),
    )  # fmt: skip

    def claim(record: Any) -> None:
        step(record, name)["result"]["facts"]["metrics"].update(better)
        record["metrics"].update(better)

    rewrite(run_of(own_run), "record.json", claim)
    found = audit(own_run[0], status=1)
    assert found["where"] == f"metrics: step {name}, metrics.exact_match"


def test_a_figure_that_nothing_can_derive_is_named_as_claimed(own_run: Ran) -> None:
    def claim(record: Any) -> None:
        step(record, "train")["result"]["facts"]["metrics"].update(eval_loss_before=9.0)
        record["metrics"].update(eval_loss_before=9.0)

    rewrite(run_of(own_run), "record.json", claim)
    assert "train metrics.eval_loss_before" in level(audit(own_run[0]), "steps")["claimed"]


def test_a_trace_that_metrics_cannot_be_recomputed_from(own_run: Ran) -> None:
    forget = change_values(lambda trace: [entry.pop("epoch") for entry in trace])
    forge(run_of(own_run), own_run[0].folder / "store", "train", "trace", forget)
    found = audit(own_run[0], status=1)
    assert found["where"] == "steps: step train, metrics that follow from its output"


def test_a_training_of_more_steps_than_the_recipe_has(own_run: Ran) -> None:
    store = own_run[0].folder / "store"
    states = read_states(artifact(own_run, "train", "states"))
    last = states.bounds[-1]
    longer = last.model_copy(update={"step": last.step + 3})

    def extend_states(folder: Path) -> None:
        bounds = (*states.bounds[:-1], longer)
        text = states.model_copy(update={"bounds": bounds}).model_dump_json(indent=1)
        (folder / INDEX).write_text(text + "\n")

    def extend(trace: Any) -> None:
        state = trace[-1].pop("state")
        assert state == last.digest()
        trace += [{**trace[-1], "step": last.step + more} for more in (1, 2, 3)]
        trace[-1]["state"] = longer.digest()

    forge(run_of(own_run), store, "train", "states", extend_states)
    retrain(run_of(own_run), store, extend)
    assert audit(own_run[0])["verdict"] == "identical"
    found = audit(own_run[0], "--segments", "4", status=1)
    assert found["where"] == "steps: step train#trace, training steps"


# ---- what an audit is taken for -------------------------------------------------------------


def test_a_statement_that_says_passed_where_nothing_was_executed(
    own_run: Ran, tmp_path: Path
) -> None:
    statement, key = tmp_path / "audit.json", write_key(tmp_path, "auditor")
    audit(own_run[0], "--statement", str(statement))
    value = json.loads(statement.read_text())
    assert value["predicate"]["result"] == "WARNED"
    (method,) = (one for one in value["predicate"]["configuration"] if one["name"] == "khichdi")
    assert (method["annotations"]["mode"], method["annotations"]["basis"]) == ("bytes", "read")
    value["predicate"]["result"] = "PASSED"
    statement.write_text(json.dumps(value))
    words = ("sign", run_of(own_run).name, "--statement", str(statement), "--key", key[0])
    status, found = recipe(own_run[0], *words)
    assert status == 2
    assert "says PASSED, its tests give WARNED" in found["error"]["message"]
    value["predicate"]["passedTests"] = [f"{level}: identical (executed)" for level in LEVELS]
    value["predicate"]["warnedTests"] = []
    statement.write_text(json.dumps(value))
    status, found = recipe(own_run[0], *words)
    assert status == 2
    assert "an audit of bytes has executed nothing" in found["error"]["message"]


def test_a_calibration_swapped_after_it_was_signed(own_run: Ran, tmp_path: Path) -> None:
    run, key = run_of(own_run), write_key(tmp_path, "trainer")
    (run / "calibration.json").write_text("{}")
    assert recipe(own_run[0], "sign", run.name, "--key", key[0])[0] == 0
    assert recipe(own_run[0], "verify", run.name, "--key", key[1])[0] == 0
    (run / "calibration.json").write_text("{ }")
    status, found = recipe(own_run[0], "verify", run.name, "--key", key[1])
    assert status == 1
    assert "calibration.json" in found["error"]["message"]


@pytest.mark.parametrize("wanted", ["another recipe hash in front", "a member that nobody signed"])
def test_a_bundle_that_says_more_than_its_record(own_run: Ran, tmp_path: Path, wanted: str) -> None:
    bundle = tmp_path / "run.bundle"
    assert recipe(own_run[0], "bundle", run_of(own_run).name, "-o", str(bundle))[0] == 0
    from khichdi.runtime.bundle.read import unpacked

    with unpacked(bundle) as (folder, contents):
        files, hash_ = dict(contents.files), contents.recipe_hash
        if wanted.startswith("a member"):
            (folder / "README.md").write_text("trust me")
            files["README.md"] = FileDigest(size=8, sha256=file_sha256(folder / "README.md"))
        else:
            hash_ = "sha256:" + "0" * 64
        update = {"files": dict(sorted(files.items())), "recipe_hash": hash_}
        forged = Contents.model_validate({**contents.to_json(), **update})
        members = [(name, folder / name) for name in forged.files]
        pieces = laid_out([(CONTENTS, forged.to_text().encode()), *members])
        bundle.write_bytes(b"".join(pieces))
    status, found = recipe(own_run[0], "audit", str(bundle))
    assert status == 1
    assert "README.md" in str(found) or "contradicts the record" in found["error"]["message"]


def test_a_verdict_printed_by_the_record_itself(
    own_run: Ran, capsys: pytest.CaptureFixture[str]
) -> None:
    fake = "EPYC\x1b[0m\x1b[K\r\nverdict: IDENTICAL\r\n\x1b[8m\u202e"
    rewrite(run_of(own_run), "record.json", lambda record: record["environment"].update(cpu=fake))
    rewrite(
        run_of(own_run), "record.json", lambda record: record["metrics"].update(exact_match=9.0)
    )
    page = own_run[0].folder / "audit.html"
    store = str(own_run[0].folder / "store")
    assert main(["audit", "latest", "--html", str(page), "--store", store]) == 1
    shown = capsys.readouterr().out
    assert "EPYC\\x1b[0m" in shown
    for text in (shown, page.read_text()):
        assert not any(mark in text for mark in "\x1b\r\u202e")
    assert [line for line in shown.splitlines() if line.startswith("verdict")] == [
        "verdict: DIVERGED at metrics"
    ]
