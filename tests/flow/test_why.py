"""One thing changes: exactly the right steps run again, and the screen says why."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from .conftest import Workdir

Ran = tuple[Workdir, Any]
AFTER_ROWS = ["mixture", "mixture/filter/exact-duplicates", "split", "pack", "train"]
COLOURS = ["data/colours/read", "data/colours/sample"]
EVALUATED = ["evaluate/generate/base", "evaluate/generate/adapter"]


def waiting(workdir: Workdir) -> dict[str, str]:
    """Return the steps that a plan says are to run, with why."""
    steps = workdir.json("plan", "pico.yaml")["steps"]
    assert all((step["why"] is None) == (step["status"] == "cached") for step in steps)
    return {step["name"]: step["why"] for step in steps if step["status"] == "to-run"}


def test_one_row_edited_in_place_is_refused_then_reruns_what_it_reaches(own_run: Ran) -> None:
    """The file keeps its name, size and time; only a letter of one row is another."""
    workdir, before = own_run
    file = workdir.folder / "colours.jsonl"
    stat = file.stat()
    lines = file.read_text().splitlines()
    lines[7] = lines[7].replace("Rome", "Roma")
    file.write_text("\n".join(lines) + "\n")
    assert file.stat().st_size == stat.st_size
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    for command in ("plan", "run"):
        status, _, err = workdir.call(command, "pico.yaml")
        assert status == 2
        assert "changed colours.jsonl" in err
        assert "recipe lock FILE --update data/colours/source" in err
    workdir.json("lock", "pico.yaml", "--update", "data/colours/source")
    names = ["data/colours/source", *COLOURS, *AFTER_ROWS, *EVALUATED]
    found = waiting(workdir)
    assert list(found) == names
    assert found["data/colours/source"] == "its bytes"
    assert found["mixture"] == "its input data/colours/sample"
    said = Path(before["run"]).name
    for command in ("plan", "run"):
        status, out, err = workdir.call(command, "pico.yaml")
        assert status == 0, err
        assert f"  changed since {said}\n    data/colours/source: its bytes\n" in out + err
        assert "    9 steps follow from it" in out + err
    rows = json.loads((workdir.folder / "colours.jsonl").read_text().splitlines()[7])
    traced = workdir.json("trace", "latest", "--row", "colours.jsonl#7")
    assert traced["row"]["output"] == rows["output"] == "Roma"


CHANGES = {
    "the seed": (
        ("seed: 5", "seed: 6"),
        ["data/capitals/sample", *AFTER_ROWS, *EVALUATED],
        {"data/capitals/sample": "the seed", "split": "the seed", "train": "the seed",
         "evaluate/generate/base": "the seed", "evaluate/generate/adapter": "the seed"},
    ),
    "the template": (
        ("template: {use: alpaca}", "template: {use: question-answer}"),
        ["pack", "train", *EVALUATED],
        {"pack": "template alpaca -> question-answer",
         "evaluate/generate/base": "template alpaca -> question-answer",
         "evaluate/generate/adapter": "template alpaca -> question-answer"},
    ),
    "the sequence length": (
        ("sequence_len: 96", "sequence_len: 80"),
        ["pack", "train", "evaluate/generate/adapter"],
        {"pack": "its parameters (sequence_len)"},
    ),
    "a filter": (
        ("below: 6", "below: 5"),
        ["data/capitals/filter/max-words", "data/capitals/sample", *AFTER_ROWS, *EVALUATED],
        {"data/capitals/filter/max-words": "its parameters (below)"},
    ),
    "nothing": (("seed: 5", "seed: 5   # as ever"), [], {}),
}  # fmt: skip


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_reruns_exactly_what_depends_on_it_and_is_named(own_run: Ran, what: str) -> None:
    workdir, before = own_run
    (old, new), names, roots = CHANGES[what]
    workdir.edit(old, new)
    found = waiting(workdir)
    assert sorted(found) == sorted(names)
    said = f"changed since {Path(before['run']).name}"
    out = workdir.call("plan", "pico.yaml")[1]
    assert (said in out) is bool(names)
    lines = [line.strip() for line in out.partition(said)[2].split("\n")[1 : len(roots) + 1]]
    assert lines == [f"{name}: {why}" for name, why in roots.items()]
    ran = workdir.json("run", "pico.yaml")
    assert sorted(workdir.ran(ran)) == sorted(names)
    assert {s["name"]: s["why"] for s in ran["steps"] if s["status"] == "ran"} == found
    assert waiting(workdir) == {}


def test_a_data_set_that_comes_or_goes_is_a_cause(own_run: Ran) -> None:
    workdir, _ = own_run
    head, _, rest = workdir.recipe.read_text().partition("  colours:\n")
    workdir.recipe.write_text(head + "mixture:\n" + rest.partition("mixture:\n")[2])
    out = workdir.call("plan", "pico.yaml")[1]
    assert "    mixture: without its input data/colours/sample\n" in out


def test_what_the_store_has_lost_is_said_and_what_never_ran_is_not(own_run: Ran) -> None:
    workdir, _ = own_run
    for path in (workdir.folder / "store" / "steps").rglob("*.json"):
        if json.loads(path.read_text())["key"] == key_of(workdir, "pack"):
            path.unlink()
    assert waiting(workdir) == {"pack": "the store no longer has its result"}
    assert "    pack: the store no longer has its result" in workdir.call("plan", "pico.yaml")[1]
    shutil.rmtree(workdir.folder / "store")
    found = workdir.json("plan", "pico.yaml")["steps"]
    assert {step["why"] for step in found} == {None}
    assert "changed since" not in workdir.call("plan", "pico.yaml")[1]


def key_of(workdir: Workdir, name: str) -> str:
    steps = workdir.json("plan", "pico.yaml")["steps"]
    return str(next(step["key"] for step in steps if step["name"] == name))
