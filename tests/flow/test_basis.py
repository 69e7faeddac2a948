"""What a verdict rests on is said everywhere, and docs/proof.md says what each basis leaves open.

Each line of the table is tried: a forger does what it says is left, and the level holds on that
basis; where nothing is left, the same forgery is found.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from forgery import change_values, forge, poison, rewrite, step

from khichdi.runtime.store.store import Store
from khichdi.schema.digest import file_sha256
from khichdi.schema.plan import PluginRef, result_hash
from khichdi.schema.record import Record

from .conftest import Workdir
from .segment_audits import audit, forge_segment, level, nonce_that_draws, run_of

Ran = tuple[Workdir, Any]
TEXT = (Path(__file__).parents[2] / "docs" / "proof.md").read_text("utf-8")
LINES = {
    (name, basis): left
    for name, basis, left in re.findall(
        r"^\| ([a-z ]+) \| (read|hashed|sampled|derived|executed) \| .+? \| (.+) \|$", TEXT, re.M
    )
}
NOTHING = "nothing, short of another recipe"
READ = "data/capitals/read"
LOCK = "recipe/pico.lock"


def kept(workdir: Workdir) -> Path:
    return workdir.folder / "store"


def record_of(own_run: Ran) -> Record:
    return Record.from_json((run_of(own_run) / "record.json").read_bytes(), "record.json")


# ---- what a forger does ---------------------------------------------------------------------


def other_words(own_run: Ran) -> None:
    _edit_recipe(own_run, lambda text: "# a comment\n" + text)


def elsewhere(name: str, old: str, new: str) -> Callable[[Ran], None]:
    """Say that a source comes from another folder: in the recipe, its bound form and the plan."""

    def apply(own_run: Ran) -> None:
        asked = {}

        def claim(plan: Any) -> None:
            planned = step(plan, name)
            planned["plugin"]["params"].update(folder="mistralai")
            asked.update(request=PluginRef.model_validate(planned["plugin"]).request())
            planned["material"].update(asked)

        _edit_recipe(own_run, lambda text: text.replace(old, new))
        rewrite(run_of(own_run), "plan.json", claim)
        rewrite(run_of(own_run), LOCK, lambda lock: lock["materials"][name].update(asked))
        seal = json.loads((run_of(own_run) / LOCK).read_bytes())["seal"]
        rewrite(
            run_of(own_run), "record.json", lambda record: record.update(bound=None, lock=seal)
        )  # fmt: skip

    return apply


def _edit_recipe(own_run: Ran, change: Callable[[str], str]) -> None:
    path = run_of(own_run) / "recipe" / "pico.yaml"
    text = path.read_text()
    assert change(text) != text
    path.write_text(change(text))
    sha = file_sha256(path)
    rewrite(run_of(own_run), "record.json", lambda record: record["files"][0].update(sha256=sha))


def another_key(own_run: Ran) -> None:
    key = "sha256:" + "0" * 64
    rewrite(run_of(own_run), "plan.json", lambda plan: step(plan, "split").update(key=key))


def another_machine(own_run: Ran) -> None:
    told = {"cpu": "a machine that nobody has"}
    rewrite(run_of(own_run), "record.json", lambda record: record["environment"].update(told))


def other_rows(own_run: Ran) -> None:
    poison(run_of(own_run), kept(own_run[0]), READ, 7, "EVIL")


def other_packs(own_run: Ran) -> None:
    def change(folder: Path) -> None:
        import pyarrow as pa

        from khichdi.runtime.tables import read_table, write_table

        table = read_table(folder)
        rows = table.to_pylist()
        rows[0]["input_ids"][0] += 1
        (folder / "table.arrow").unlink()
        write_table(folder, pa.Table.from_pylist(rows, table.schema))

    forge(run_of(own_run), kept(own_run[0]), "pack", "train", change)


def invented_digests(own_run: Ran) -> None:
    digests = {"initial": "sha256:" + "1" * 64}
    change = change_values(lambda values: values.update(digests))
    forge(run_of(own_run), kept(own_run[0]), "train", "weights", change)


def another_training(own_run: Ran) -> None:
    """Put in a training at another learning rate, and what was evaluated after it."""
    workdir = own_run[0]
    workdir.edit("learning_rate: 1.0e-3", "learning_rate: 2.0e-3")
    other = Path(workdir.json("run", "pico.yaml")["run"])
    workdir.edit("learning_rate: 2.0e-3", "learning_rate: 1.0e-3")
    theirs = json.loads((other / "record.json").read_bytes())

    def splice(record: Any) -> None:
        for name in ("train", "evaluate/generate/adapter"):
            mine, its = step(record, name)["result"], step(theirs, name)["result"]
            mine.update(outputs=its["outputs"], facts=its["facts"])
            mine.pop("seal", None)
        record.update(metrics=theirs["metrics"], adapter_texts=theirs["adapter_texts"])
        found = {one["name"]: one["result"]["outputs"] for one in record["steps"]}
        record["result_hash"] = result_hash(
            {name: {n: o["digest"] for n, o in made.items()} for name, made in found.items()}
        )

    rewrite(run_of(own_run), "record.json", splice)
    shutil.rmtree(run_of(own_run) / "adapter")
    shutil.copytree(other / "adapter", run_of(own_run) / "adapter")


def invented_answers(own_run: Ran) -> None:
    name = "evaluate/generate/adapter"

    def answer(values: Any) -> None:
        for one in values:
            one.update(prediction="Rome", exact_match=1.0, rouge_l=1.0)

    perfect = {"exact_match": 1.0, "rouge_l": 1.0}
    forge(run_of(own_run), kept(own_run[0]), name, "predictions", change_values(answer))
    forge(
        run_of(own_run), kept(own_run[0]), name, "metrics",
        change_values(lambda values: values.update(perfect)),
    )  # fmt: skip

    def claim(record: Any) -> None:
        step(record, name)["result"]["facts"]["metrics"].update(perfect)
        record["metrics"].update(perfect)

    rewrite(run_of(own_run), "record.json", claim)


def another_model(own_run: Ran) -> None:
    """Put another tensor into an exported model, which this run then has."""
    workdir, document = own_run
    workdir.edit("evaluate:\n", "export: [{use: merged, onto: dequantized}]\nevaluate:\n")
    document.update(workdir.json("run", "pico.yaml"))

    def change(folder: Path) -> None:
        path = next(folder.glob("*.safetensors"))
        raw = bytearray(path.read_bytes())
        raw[-3] ^= 1
        path.write_bytes(raw)

    forge(run_of(own_run), kept(workdir), "export/merged", "model", change)
    made = step(json.loads((run_of(own_run) / "record.json").read_bytes()), "export/merged")
    manifest = made["result"]["outputs"]["model"]["manifest"].removeprefix("sha256:")
    shutil.rmtree(run_of(own_run) / "export" / "merged")
    shutil.copytree(kept(workdir) / "artifacts" / manifest, run_of(own_run) / "export" / "merged")


def unseen_segment(own_run: Ran) -> None:
    forge_segment(own_run)


RERUN = ["--rerun"]
TRIED: dict[tuple[str, str], tuple[Callable[[Ran], None], list[str]]] = {
    ("recipe", "derived"): (other_words, []),
    ("plan", "derived"): (another_key, []),
    ("environment", "derived"): (another_machine, []),
    ("sources", "derived"): (
        elsewhere(
            "data/capitals/source",
            "files, include: [capitals",
            "files, folder: mistralai, include: [capitals",
        ),
        [],
    ),
    ("base weights", "derived"): (elsewhere("base", "folder: base", "folder: mistralai"), []),
    ("data", "hashed"): (other_rows, []),
    ("data", "executed"): (other_rows, [*RERUN, "--level", "data"]),
    ("batches", "hashed"): (other_packs, []),
    ("batches", "executed"): (other_packs, [*RERUN, "--level", "batches"]),
    ("starting weights", "read"): (invented_digests, []),
    ("starting weights", "executed"): (invented_digests, ["--segments", "1"]),
    ("steps", "hashed"): (another_training, []),
    ("steps", "sampled"): (unseen_segment, ["--segments", "1", "--nonce"]),
    ("steps", "executed"): (another_training, RERUN),
    ("adapter", "hashed"): (another_training, []),
    ("adapter", "sampled"): (unseen_segment, ["--segments", "1", "--nonce"]),
    ("adapter", "executed"): (another_training, ["--segments", "4"]),
    ("exports", "hashed"): (another_model, []),
    ("exports", "executed"): (another_model, RERUN),
    ("metrics", "hashed"): (invented_answers, []),
    ("metrics", "executed"): (invented_answers, RERUN),
}
"""By line: the forgery, and the audit that gives the basis."""


def test_each_line_of_the_table_is_tried() -> None:
    assert LINES.keys() == TRIED.keys()
    assert {basis for (_, basis), left in LINES.items() if left == NOTHING} <= {
        "derived", "executed"
    }  # fmt: skip


@pytest.mark.nightly
@pytest.mark.slow
@pytest.mark.parametrize("line", TRIED, ids=" ".join)
def test_what_the_table_leaves_a_forger_is_what_is_left(
    own_run: Ran, line: tuple[str, str]
) -> None:
    own_run = (own_run[0], dict(own_run[1]))  # a forgery may make another run
    name, basis = line
    forgery, words = TRIED[line]
    forgery(own_run)
    run, words = run_of(own_run).name, list(words)
    if words[-1:] == ["--nonce"]:
        found = record_of(own_run).result_hash
        assert found
        words.append(nonce_that_draws(own_run, 1))
    if LINES[line] != NOTHING:
        found = level(audit(own_run[0], run, *words), name)
        verdict = "unverifiable" if name == "environment" else "identical"
        assert (found["verdict"], found["basis"]) == (verdict, basis)
        return
    report = audit(own_run[0], run, *words, status=1)
    assert report["verdict"] == "diverged"
    expected = "steps" if forgery is another_training else name
    assert report["where"].startswith(f"{expected}: ")


@pytest.mark.nightly
@pytest.mark.slow
def test_the_verdict_says_what_the_draw_finds_and_what_was_not_derived(
    own_run: Ran, tmp_path: Path
) -> None:
    statement = tmp_path / "audit.json"
    words = ("audit", "latest", "--segments", "1")
    text = own_run[0].call(*words, "--statement", str(statement))[1]
    said = "train: had 1 of 4 segments been forged, this draw would have found it with probability"
    assert f"{said} 0.25; 4 or more, with at least 0.95" in text
    assert "verdict: IDENTICAL, training sampled (" in text
    assert "was not derived here" not in text
    value = json.loads(statement.read_text())
    (method,) = (one for one in value["predicate"]["configuration"] if one["name"] == "khichdi")
    (draw,) = method["annotations"]["segments"]
    assert (draw["oneForgedFound"], draw["surelyCaught"]) == (0.25, 4)
    # Without the sources here, in a store that has everything else.
    (own_run[0].folder / "capitals.jsonl").unlink()
    store = Store(kept(own_run[0]))
    source = next(s for s in record_of(own_run).steps if s.name == "data/capitals/source").result
    shutil.rmtree(store.folder(source.outputs["files"]))
    text = own_run[0].call(*words)[1]
    assert "what was trained on was not derived here: data, batches" in text
    assert "verdict: UNVERIFIABLE: sources" in text
