"""Decide from its source whether a test is fast: no torch, other process, real data or campaign."""

from __future__ import annotations

import ast
import inspect
import resource
import sys
from collections.abc import Iterator
from functools import cache
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import pytest

TESTS = Path(__file__).parent.parent
SLOW_FOLDERS = [TESTS / "flow", TESTS / "stress", TESTS / "plugins" / "runtime"]
"""Whole runs, campaigns, and the runtime, whose modules load torch."""
HEAVY = {"torch", "transformers", "peft", "accelerate", "bitsandbytes"}
"""Libraries that take seconds to import: a file that loads one has no fast test."""
REAL = ("KHICHDI_TEST_DATA", "KHICHDI_TEST_CONFIGS")
"""Variables that say where real data is, which takes long to read."""
SLOW = (*HEAVY, "subprocess", "multiprocessing", "khichdi.plugins.builtin.runtime", *REAL)
"""What a fast test does not use, nor do the fixtures and helpers that it mentions."""

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
        if any(map(_slow, modules)):
            return False
        waiting.extend(places)
    return True


class Weight(NamedTuple):
    """What a process has done that a fast test does not do."""

    libraries: frozenset[str]
    processes: int

    @classmethod
    def now(cls) -> Weight:
        """Return the heavy libraries that are loaded, and a number that rises with each process."""
        faults = resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt
        return cls(frozenset(HEAVY & sys.modules.keys()), faults)


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
def _mentions(path: Path, name: str) -> tuple[set[str], set[Place]]:
    """Return what of the outside and which places the definition of a name mentions."""
    used = {name} | {
        node.id
        for definition in _definitions(path).get(name, [])
        for node in ast.walk(definition)
        if isinstance(node, ast.Name)
    }
    found = [one for one in _loaded(path) if one[0] in used]
    real: set[str] = set()
    for node in chain.from_iterable(map(ast.walk, _definitions(path).get(name, []))):
        found += _imports(node, path)
        if isinstance(node, ast.Constant) and node.value in REAL:
            real.add(node.value)
    places = {(path, other) for other in used & _definitions(path).keys() - {name}}
    places |= {(file, attribute) for _, module, attribute in found if (file := _file(module))}
    return real | {f"{module}.{attribute}" for _, module, attribute in found}, places


def _slow(module: str) -> bool:
    return any(f"{module}.".startswith(f"{one}.") for one in SLOW)


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
