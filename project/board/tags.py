"""Tags of runs: `tags.json` in the store, beside the runs, whose records stay as they are."""

from __future__ import annotations

import contextlib
import fcntl
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ...runtime.store.atomic_io import make_folder, store_error, write_atomically
from ...runtime.store.store import Store
from ...schema.errors import InputError

FILE = "tags.json"
TAG = re.compile(r"[^\W_][\w.-]{0,31}")
MOST = 12
"""Tags of a run, at most."""
EXPECTED = "a letter or digit, then letters, digits, `.`, `_` and `-`; up to 32 characters"

Tags = dict[str, list[str]]
"""Tags by the run's name, sorted."""


def read_tags(store: Store) -> Tags:
    """Return the tags of every run that has some; what is not a tag is left out."""
    try:
        found: Any = json.loads((store.root / FILE).read_bytes())
        return {
            name: sorted({tag for tag in tags if isinstance(tag, str) and TAG.fullmatch(tag)})
            for name, tags in found.items()
            if isinstance(tags, list)
        }
    except (OSError, ValueError, AttributeError, RecursionError):
        return {}


def add_tag(store: Store, run: str, tag: str) -> None:
    """Add a tag to a run.

    Raises:
        InputError: it is not a tag, or the run has too many.
        StoreError: the store cannot be written.
    """
    tag = tag.strip()
    if not TAG.fullmatch(tag):
        raise InputError(f"{tag[:40]!r} is not a tag", hint=f"expected: {EXPECTED}")

    def change(tags: list[str]) -> list[str]:
        if len({*tags, tag}) > MOST:
            raise InputError(f"{run} has {MOST} tags, which is the most", hint="remove one first")
        return [*tags, tag]

    _change(store, run, change)


def remove_tag(store: Store, run: str, tag: str) -> None:
    """Remove a tag from a run; nothing changes where the run does not have it.

    Raises:
        StoreError: the store cannot be written.
    """
    _change(store, run, lambda tags: [one for one in tags if one != tag])


def _change(store: Store, run: str, change: Callable[[list[str]], list[str]]) -> None:
    with _locked(store.root):
        tags = read_tags(store)
        changed = sorted(set(change(tags.get(run, []))))
        tags = {**tags, run: changed}
        text = json.dumps({k: v for k, v in sorted(tags.items()) if v}, indent=1)
        write_atomically(store.root / FILE, text + "\n")


@contextlib.contextmanager
def _locked(root: Path) -> Iterator[None]:
    """Keep other writers out, so that no tag of theirs is lost."""
    try:
        make_folder(root)
        lock = (root / f"{FILE}.lock").open("a")
    except OSError as error:
        raise store_error(error, f"cannot write to the store {root}") from None
    with lock:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
