"""Decide from its source whether a test is fast: no torch, no other process, no campaign."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent
SLOW_FOLDERS = [TESTS / "flow", TESTS / "stress", TESTS / "plugins" / "runtime"]
"""Whole runs, campaigns, and the runtime, whose modules load torch."""
HEAVY = {"torch", "transformers", "peft", "accelerate", "bitsandbytes"}
"""Libraries that take seconds to import: a file that loads one has no fast test."""
SLOW = HEAVY | {"subprocess", "multiprocessing"}
"""Modules that a fast test does not use, nor do the fixtures and helpers that it mentions."""

Place = tuple[Path, str]
"""A file of the tests and a name at its top level."""


def is_fast(item: pytest.Function) -> bool:
    """Return whether nothing that a test mentions, however indirectly, is of a slow module."""
    if any(map(item.get_closest_marker, ("slow", "heavy"))) or not may_be_fast(item.path):
        return False
    fixtures = [one.func for defs in item._fixtureinfo.name2fixturedefs.values() for one in defs]
    waiting = [(Path(inspect.getfile(one)), one.__name__) for one in [item.function, *fixtures]]
    seen: set[Place] = set()
    while waiting:
        place = waiting.pop()
        if place in seen or not place[0].is_relative_to(TESTS):
            continue
        seen.add(place)
        modules, places = _mentions(*place)
        if modules & SLOW:
            return False
        waiting.extend(places)
    return True


def is_campaign(item: pytest.Item) -> bool:
    """Return whether the number of cases that a test tries can be chosen."""
    return any(module == "sizes" for _, module, _ in _loaded(item.path))


@cache
def may_be_fast(path: Path) -> bool:
    """Return whether a file of the tests can be loaded without a heavy library."""
    if any(map(path.is_relative_to, SLOW_FOLDERS)):
        return False
    modules = {module for _, module, _ in _loaded(path)}
    return not any(
        module.partition(".")[0] in HEAVY
        or ((file := _file(module)) and file != path and not may_be_fast(file))
        for module in modules
    )


@cache
def _mentions(path: Path, name: str) -> tuple[frozenset[str], frozenset[Place]]:
    """Return the outside modules and the places that the definition of a name mentions."""
    used = {name} | {
        node.id
        for definition in _definitions(path).get(name, [])
        for node in ast.walk(definition)
        if isinstance(node, ast.Name)
    }
    found = [one for one in _loaded(path) if one[0] in used]
    for definition in _definitions(path).get(name, []):
        found += [one for node in ast.walk(definition) for one in _imports(node, path)]
    places = {(path, other) for other in used & _definitions(path).keys() - {name}}
    places |= {(file, attribute) for _, module, attribute in found if (file := _file(module))}
    return frozenset(module.partition(".")[0] for _, module, _ in found), frozenset(places)


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def _loaded(path: Path) -> list[tuple[str, str, str]]:
    """Return the imports at a file's top level."""
    return [one for node in _tree(path).body for one in _imports(node, path)]


@cache
def _definitions(path: Path) -> dict[str, list[ast.stmt]]:
    """Return the statements at a file's top level by the names that they give a meaning."""
    found: dict[str, list[ast.stmt]] = {}
    for node in _tree(path).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.setdefault(node.name, []).append(node)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            for target in ast.walk(node):
                if isinstance(target, ast.Name) and isinstance(target.ctx, ast.Store):
                    found.setdefault(target.id, []).append(node)
    return found


def _imports(node: ast.AST, path: Path) -> Iterator[tuple[str, str, str]]:
    """Yield (name bound, module, name in it) of an import, and of a call of `importorskip`."""
    if isinstance(node, ast.Expr | ast.Assign):
        node = node.value
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield alias.asname or alias.name.partition(".")[0], alias.name, ""
    elif isinstance(node, ast.ImportFrom):
        folder = path.parents[node.level - 1].relative_to(TESTS) if node.level else Path()
        module = ".".join([*folder.parts, *(node.module or "").split(".")])
        for alias in node.names:
            yield alias.asname or alias.name, module, alias.name
    elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "importorskip":
        yield "", str(getattr(node.args[0], "value", "")), ""


def _file(module: str) -> Path | None:
    """Return the file of the tests, or of their helpers, that a module is."""
    for root in (TESTS, TESTS / "helpers"):
        file = root.joinpath(*module.split(".")).with_suffix(".py")
        if module and file.is_file():
            return file
    return None
