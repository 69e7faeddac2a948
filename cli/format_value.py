"""Format a changed value on one line, so that the change in it can be seen."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ..compiler.diff import Change, FileChange
from ..schema.printable import one_line

WIDTH = 60

FILES = 3
"""Files of a source that are named where their bytes differ."""


def both(change: Change) -> str:
    """Return `before -> after`; of long lists and texts only the difference."""
    before, after = change.before, change.after
    if change.files:
        return _files(change.files)
    if change.kind == "changed" and isinstance(before, list) and isinstance(after, list):
        return _lists(before, after)
    one, other = (_value(value) for value in (before, after))
    if max(len(one), len(other)) > WIDTH and isinstance(before, str) and isinstance(after, str):
        one, other = _around(one, other)
    one += " (default)" if change.before_default else ""
    other += " (default)" if change.after_default else ""
    return f"{_cut(one)} -> {_cut(other)}"


def _files(changed: Sequence[FileChange]) -> str:
    """Return what happened to the first files, and how many more there are."""
    words = []
    for file in changed[:FILES]:
        path = one_line(file.path)
        if file.before is None or file.after is None:
            there = file.after if file.before is None else file.before
            words.append(f"{'new' if file.before is None else 'gone'} {path} ({there:,} B)")
        elif file.before == file.after:
            words.append(f"{path} changed ({file.after:,} B on both sides)")
        else:
            words.append(f"{path} changed ({file.before:,} B -> {file.after:,} B)")
    more = len(changed) - FILES
    return ", ".join(words) + (f", and {more:,} more files" if more > 0 else "")


def _value(value: Any) -> str:
    if value is None:
        return "(none)"
    if isinstance(value, list):
        return ", ".join(_value(item) for item in value) or "[]"
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)


def _lists(before: list[Any], after: list[Any]) -> str:
    one, other = _value(before), _value(after)
    if len(one) + len(other) <= WIDTH:
        return f"{one} -> {other}"
    gone = [f"- {_value(item)}" for item in before if item not in after]
    new = [f"+ {_value(item)}" for item in after if item not in before]
    if not gone and not new:
        return f"{len(before)} -> {len(after)} items, in another order or number"
    return f"{len(before)} -> {len(after)} items: {_cut('  '.join([*new, *gone]), 2 * WIDTH)}"


def _around(one: str, other: str) -> tuple[str, str]:
    """Return two texts from a little before the first character that they differ in."""
    same = next(
        (i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b),
        min(len(one), len(other)),
    )
    start = max(0, same - 20)
    mark = "…" if start else ""
    return mark + one[start:], mark + other[start:]


def _cut(text: str, width: int = WIDTH) -> str:
    text = text.replace("\n", "\\n")
    return text if len(text) <= width else text[: width - 1] + "…"
