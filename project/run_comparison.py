"""Compare two runs: results, metrics, digests of steps, environments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..schema.record import Record


def compare_runs(before: Record, after: Record) -> dict[str, Any]:
    """Return the differences between the outcomes of two runs; each value is [before, after]."""
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
