"""Imports of other tools' configurations, and the keys that they have."""

from __future__ import annotations

from typing import Any

from khichdi.compiler.importers import Imported, import_config
from khichdi.compiler.importers.report import Report
from khichdi.plugins.registry import load_registry
from khichdi.schema.yaml_reader import parse

REGISTRY = load_registry()


def imported(text: str, kind: str, **more: Any) -> Imported:
    return import_config(text.encode(), "config.yml", kind, REGISTRY, **more)


def listed(report: Report) -> list[str]:
    lists = (report.mapped, report.inert, report.not_mapped)
    return [repr(entry.key) for part in lists for entry in part]


def leaves(text: str) -> set[str]:
    """Return every key of a file that holds no further keys, found by the places of all keys."""
    parsed = parse(text.encode(), "config.yml")
    paths = {path for path in parsed.keys if path}
    names = {path for path in paths if isinstance(path[-1], str)}
    inner = {path[:n] for path in names for n in range(len(path))}
    lone = {path for path in paths - names if path[:-1] in inner and path not in inner}
    return {repr(path) for path in (names - inner) | lone}
