"""The installed release of the harness: its version, and its files as they were published."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib.metadata import Distribution, distribution
from pathlib import Path

from khichdi.schema.errors import StepError

READ = (".py", ".yaml", ".yml", ".jsonl", ".json", ".txt", "")
"""Endings of the files that make up tasks."""


def check_release(wanted: str) -> None:
    """Refuse another release than the recipe's, and one whose files are not as published.

    A recipe's hash covers the number of the release, and with it the tasks: so these have to be the
    release's own.

    Raises:
        StepError: says which release or file differs.
    """
    found = distribution("lm-eval")
    if found.version != wanted:
        raise StepError(
            f"the recipe asks for lm-eval {wanted}, and {found.version} is installed",
            hint=f"pip install lm-eval=={wanted}, or set `harness: {found.version}`",
        )
    changed = _changed(found)
    if changed is not None:
        raise StepError(
            f"{changed} is not as lm-eval {wanted} published it",
            hint=f"pip install --force-reinstall --no-deps lm-eval=={wanted}",
        )


def _changed(found: Distribution) -> str | None:
    """Return a file that differs from its record in the distribution, or None."""
    hashed = [one for one in found.files or () if one.hash and one.suffix in READ]
    if not any(one.name == "evaluator.py" for one in hashed):
        return "an editable install"
    for one in hashed:
        try:
            raw = Path(str(one.locate())).read_bytes()
        except OSError:
            return str(one)
        made = hashlib.new(one.hash.mode, raw).digest() if one.hash else b""
        told = one.hash.value if one.hash else ""
        if base64.urlsafe_b64encode(made).rstrip(b"=").decode() != told:
            return str(one)
    return None


@cache
def task_folders(names: tuple[str, ...]) -> tuple[Path, ...]:
    """Return the folders, of those right below the harness's tasks, that name one of the tasks.

    Reading the configurations of all tasks takes long; those of a few folders do not.
    """
    import lm_eval.tasks

    root = Path(str(lm_eval.tasks.__file__)).parent
    named = b"|".join(re.escape(name.encode()) for name in names)
    words = re.compile(rb"(?<![\w.+-])(?:" + named + rb")(?![\w+-])")
    found = []
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        files = (path for path in folder.rglob("*") if path.suffix in (".yaml", ".yml", ""))
        if any(path.is_file() and words.search(path.read_bytes()) for path in files):
            found.append(folder)
    return tuple(found)
