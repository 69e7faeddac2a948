"""Hostile names and archives: whatever way they come, nothing is written, read or let in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from khichdi.runtime.bundle.read import unpacked
from khichdi.schema.document import Document, PathBelow
from khichdi.schema.errors import InputError

from ..stress.cases.hostile_run import FIELDS, escapes_from_folder, escapes_from_tar, forge, refused
from ..stress.cases.hostile_tar import hostile_names, odd_archives
from .conftest import Workdir
from .test_bundle import recipe

Ran = tuple[Workdir, Any]
NAMES = hostile_names()


def test_no_hostile_name_gets_out_of_a_bundle(tmp_path: Path) -> None:
    assert len(NAMES) >= 500
    assert list(escapes_from_tar(NAMES, tmp_path)) == []


def test_no_hostile_name_gets_out_of_a_folder(shared_run: Ran, tmp_path: Path) -> None:
    some = NAMES[::9]  # all of them, and by more commands, in tests/stress/hostile.py
    run = next((shared_run[0].folder / "store" / "runs").iterdir())
    commands = [["audit"]]
    assert list(escapes_from_folder(some, run, tmp_path, commands)) == []


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_that_is_a_path_is_held_below_its_folder(
    own_run: Ran, tmp_path: Path, field: str
) -> None:
    run = own_run[0].folder / "store" / "runs" / Path(own_run[1]["run"]).name
    honest = (run / "record.json").read_bytes()
    forge(run / "record.json", field, "../../escape")
    for command in (["audit"], ["bundle", "-o", "x"], ["card"], ["verify", "--key", "k"]):
        ours, said = refused([command[0], str(run), *command[1:]], own_run[0].folder)
        assert ours, said
        assert "below" in said
    (run / "record.json").write_bytes(honest)
    assert recipe(own_run[0], "audit", str(run))["verdict"] == "identical"


def test_odd_archives_are_refused_and_write_nothing(shared_run: Ran, tmp_path: Path) -> None:
    bundle, scratch = tmp_path / "honest.bundle", tmp_path / "scratch"
    recipe(shared_run[0], "bundle", "latest", "-o", str(bundle))
    for folder in (tmp_path / "odd", scratch):
        folder.mkdir()
    count = 0
    for what, path in odd_archives(bundle, tmp_path / "odd"):
        with pytest.raises(InputError), unpacked(path, str(scratch)):
            pytest.fail(f"{what} was let in")
        assert not list(scratch.iterdir()), what
        count += 1
    assert count >= 40
    assert not list(tmp_path.rglob("*escape*"))


@pytest.mark.parametrize("what", ["a file", "a folder"])
def test_a_link_in_a_run_s_folder_is_not_followed_into_a_bundle(
    own_run: Ran, tmp_path: Path, what: str
) -> None:
    run = own_run[0].folder / "store" / "runs" / Path(own_run[1]["run"]).name
    outside = tmp_path / "outside"
    (run / "recipe").rename(outside)
    if what == "a folder":
        (run / "recipe").symlink_to(outside)
    else:
        (run / "recipe").mkdir()
        for path in outside.iterdir():
            (run / "recipe" / path.name).symlink_to(path)
    found = recipe(own_run[0], "bundle", run.name, "-o", str(tmp_path / "x"), status=2)
    assert "not a plain file" in found["error"]["message"]
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    "path",
    ["a", "a.jsonl", "a/b c/d.json", "über/दाल.jsonl", "ab:b", "what?.txt", "..a/b..", "a\u200db"],
)
def test_a_name_of_other_people_s_data_stays_as_it_is(path: str) -> None:
    class Thing(Document):
        path: PathBelow

    assert Thing(path=path).path == path
    for bad in (f"../{path}", f"/{path}", f"{path}/..", f"x/../{path}", f"{path}\n", f"{path}//x"):
        with pytest.raises(ValidationError, match="below its own folder"):
            Thing(path=bad)
