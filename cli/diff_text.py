"""Format a difference as text: changes, steps that rerun, effects, and the outcomes of two runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..compiler.diff import SECTIONS, Change
from ..project.difference import Difference
from .format_value import both
from .output import columns, duration, short, size


def difference_text(found: Difference) -> str:
    """Return a difference as paragraphs."""
    if found.changes:
        parts = [_changes(found.changes), _reruns(found)]
        parts += [text for text in [_effects(found.before, found.after)] if text]
    else:
        parts = ["the same in meaning"]
    if found.outcome is not None:
        parts.append(_outcome(found.outcome))
    return "\n\n".join(parts)


def _changes(found: list[Change]) -> str:
    """Return a line per change, grouped by section.

    Of a part on one side only, defaults are left out.
    """
    shown = [
        change
        for change in found
        if change.kind == "changed" or not (change.before_default or change.after_default)
    ] or found
    width = max(len(change.path) for change in shown)
    groups = []
    for section in SECTIONS:
        lines = [
            f"{change.path.ljust(width)}  {both(change)}"
            for change in shown
            if change.section == section
        ]
        if lines:
            groups.append("\n".join(lines))
    return "\n\n".join(groups)


def _reruns(found: Difference) -> str:
    again = found.reruns
    lines = [f"reruns {len(again)} of {found.steps} steps" + (":" if again else "")]
    if again:
        lines.append(columns(list(again.items())))
    if found.dropped:
        lines.append(f"no longer there: {', '.join(found.dropped)}")
    return "\n".join(lines)


SHOWN = {
    "rows": ("rows", "{:,}".format),
    "tokens": ("tokens", "{:,}".format),
    "steps": ("steps", "{:,}".format),
    "gpu_memory_bytes": ("memory", size),
    "seconds": ("time", duration),
}


def _effects(before: dict[str, Any], after: dict[str, Any]) -> str:
    """Return the effects on rows, tokens, memory and time, as far as known."""
    words = []
    for key, (name, shown) in SHOWN.items():
        old, new = before[key], after[key]
        if old is not None and new is not None:
            same = shown(old) == shown(new)
            words.append(f"{name} the same" if same else f"{name} {shown(old)} -> {shown(new)}")
    return "    ".join(words)


def _outcome(found: Mapping[str, Any]) -> str:
    """Return the outcome's lines; the first step to differ is where to look."""
    rows = []
    if found["same"]:
        rows.append(("result hash", "the same"))
    else:
        rows.append(("result hash", " -> ".join(map(short, found["result_hash"]))))
    rows += [(name, f"{_number(a)} -> {_number(b)}") for name, (a, b) in found["metrics"].items()]
    if found["digests"]:
        first, more = found["digests"][0], len(found["digests"]) - 1
        beside = f", and {more} after it" if more else ""
        rows.append(("first to differ", f"{first}{beside}"))
    for name, (a, b) in found["environment"].items():
        rows.append((name, f"{_word(a)} -> {_word(b)}"))
    return "\n".join(["outcome", columns(rows)])


def _number(value: float | None) -> str:
    return "(none)" if value is None else f"{value:.4g}"


def _word(value: Any) -> str:
    return "(none)" if value is None else str(value)
