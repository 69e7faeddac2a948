"""Hostile names in the two ways that a run reaches an auditor: in a bundle, and as a folder."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from khichdi.cli.main import main
from khichdi.runtime.bundle.read import unpacked
from khichdi.schema.errors import KhichdiError
from khichdi.schema.record import Record

from .hostile_tar import with_contents


def _file(record: dict[str, Any], name: str) -> None:
    record["files"][0]["path"] = name


def _output(record: dict[str, Any], name: str) -> None:
    train = next(step for step in record["steps"] if step["kind"] == "runtime")
    files = train["result"]["outputs"]["adapter"]["files"]
    files[name] = files.pop(next(iter(files)))


def _step(record: dict[str, Any], name: str) -> None:
    record["steps"][-1]["name"] = f"export/{name}"


def _recipe(record: dict[str, Any], name: str) -> None:
    record["recipe"] = name


FIELDS = {"file": _file, "output": _output, "step": _step, "recipe": _recipe}
LEAVING = ("../", "/", "\\\\")
"""How a name starts that leaves its folder; only some of the others are refused in every field."""


def forge(path: Path, field: str, name: str) -> None:
    """Write a record with a hostile name and a seal that fits it."""
    value = json.loads(path.read_bytes())
    value.pop("seal")
    FIELDS[field](value, name)
    path.write_text(Record._text({**value, "seal": Record._seal(value)}))


def seen(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder, but for those in the places that hold what is tried."""
    return {
        str(path): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "tried" not in path.parts
    }


def escapes_from_tar(names: list[str], folder: Path) -> Iterator[str]:
    """Yield what a hostile name in a bundle's contents brought about, refusal apart."""
    scratch = folder / "tried" / "a" / "b"
    scratch.mkdir(parents=True)
    target = folder / "tried" / "name.bundle"
    before = seen(folder)
    for name in names:
        with_contents(target, [name])
        try:
            with unpacked(target, str(scratch)):
                yield f"{name!r} was let in"
        except KhichdiError:
            pass
        if list(scratch.iterdir()) or seen(folder) != before:
            yield f"{name!r} wrote a file"


def refused(words: list[str], cwd: Path) -> tuple[bool, str]:
    """Run a command; return whether it ended in an error of ours, and what it said."""
    out, here = io.StringIO(), Path.cwd()
    os.chdir(cwd)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            status = main([*words, "--json", "--store", str(cwd / "store")])
    finally:
        os.chdir(here)
    said = out.getvalue()
    ours = status in (2, 3) and "error" in json.loads(said) and "a fault in" not in said
    return ours, said


def escapes_from_folder(
    names: list[str], origin: Path, folder: Path, commands: list[list[str]]
) -> Iterator[str]:
    """Yield what a hostile name in documents of a run's folder brought about, refusal apart."""
    run = folder / "tried" / "run"
    shutil.copytree(origin, run)
    honest = (run / "record.json").read_bytes()
    before = seen(folder)
    for number, name in enumerate(names):
        field = list(FIELDS)[number % len(FIELDS)] if name.startswith(LEAVING) else "file"
        (run / "record.json").write_bytes(honest)
        forge(run / "record.json", field, name)
        for command in commands:
            ours, said = refused([command[0], str(run), *command[1:]], folder)
            if not ours:
                yield f"{name!r} as a {field} in {command[0]}: {said[:200]}"
        if seen(folder) != before:
            yield f"{name!r} as a {field} wrote a file"
            before = seen(folder)
