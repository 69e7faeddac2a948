"""Compare the outcomes of two runs: results, metrics, step digests, environments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..schema.record import Record
from .output import columns, short


def outcome(before: Record, after: Record) -> dict[str, Any]:
    """Return what the outcome of two runs differs in; each value is [before, after]."""
    one, other = (
        {step.name: step.digests() for step in record.steps} for record in (before, after)
    )
    return {
        "same": before.result_hash == after.result_hash,
        "result_hash": [before.result_hash, after.result_hash],
        "metrics": _pairs(before.metrics, after.metrics),
        "digests": [name for name in one if name in other and one[name] != other[name]],
        "environment": _pairs(_facts(before), _facts(after)),
    }


def outcome_text(found: Mapping[str, Any]) -> str:
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


def _facts(record: Record) -> dict[str, Any]:
    """Return the environment and the plugins' distributions, flat."""
    flat: dict[str, Any] = {}
    for name, value in record.environment.items():
        flat |= value if isinstance(value, dict) else {name: value}
    return flat | {plugin.name: plugin.version for plugin in record.plugins}


def _pairs(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, list[Any]]:
    return {
        name: [one.get(name), other.get(name)]
        for name in sorted(one.keys() | other.keys())
        if one.get(name) != other.get(name)
    }


def _number(value: float | None) -> str:
    return "(none)" if value is None else f"{value:.4g}"


def _word(value: Any) -> str:
    return "(none)" if value is None else str(value)
