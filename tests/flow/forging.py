"""Commands in this process, and changes of documents, for tests of forgeries."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from forgery import rewrite

from khichdi.cli.main import main
from khichdi.schema.lock import Lock

from .conftest import Workdir

Ran = tuple[Workdir, Any]
MODES = ([], ["--segments", "1"], ["--rerun"])


def recipe(workdir: Workdir, *words: str) -> tuple[int, Any]:
    """Run a command in this process, and return its status and document."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        status = main([*words, "--json", "--store", str(workdir.folder / "store")])
    return status, json.loads(out.getvalue())


def relock(run: Path, change: Callable[[Any], None]) -> None:
    """Change a run's lock, and the record's seal of it."""
    rewrite(run, "recipe/pico.lock", change)
    seal = Lock.from_json((run / "recipe/pico.lock").read_bytes(), "pico.lock").seal()
    rewrite(run, "record.json", lambda record: record.update(lock=seal))
