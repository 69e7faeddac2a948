"""Check that a plugin's version was raised when its source changed."""

from __future__ import annotations

import ast
import io
import json
import os
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...schema.digest import digest
from ..base import Plugin

RECORD = "KHICHDI_RECORD"
"""Set to 1, it has the tests write down the sources that there are instead of comparing them."""


def source_digest(plugin: type[Plugin[Any]]) -> str:
    """Return the digest of what a plugin is written in, less comments and docstrings.

    That is its module, and what this imports, directly or not, from its own package: the folder
    that it lies in and those below.
    """
    module = sys.modules[plugin.__module__]
    if getattr(module, "__file__", None) is None:
        raise AssertionError(f"{plugin.__module__} has no file")
    package = module.__package__ or ""
    files = {plugin.__module__: Path(str(module.__file__))}
    waiting, code = list(files), {}
    while waiting:
        name = waiting.pop()
        text = files[name].read_text(encoding="utf-8")
        code[name] = _code(text)
        own = name if files[name].name == "__init__.py" else name.rpartition(".")[0]
        for found, path in _imported(ast.parse(text), own, package):
            if found not in files:
                files[found] = path
                waiting.append(found)
    return digest("plugin-source", code)


def _code(text: str) -> str:
    """Return source text without comments, docstrings and empty lines."""
    lines = text.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    for first, last in _docstrings(ast.parse(text)):
        lines[first - 1 : last] = [""] * (last - first + 1)
    return "\n".join(line.rstrip() for line in lines if line.strip())


def _imported(tree: ast.Module, own: str, package: str) -> Iterator[tuple[str, Path]]:
    """Yield the modules of a package that are imported anywhere, with their files.

    Args:
        tree: the source that imports.
        own: the package that it is in, where relative imports start.
        package: the only one whose modules count; none do where it is empty.
    """
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = own.split(".")[: len(own.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        for name in names:
            path = _file(name, package)
            if path is not None:
                yield name, path


def _file(name: str, package: str) -> Path | None:
    """Return the file of a module of a package, or None where there is no such module."""
    if not package or not name.startswith(f"{package}."):
        return None
    folder = Path(str(sys.modules[package].__path__[0]))
    stem = folder.joinpath(*name.removeprefix(f"{package}.").split("."))
    places = (stem.with_suffix(".py"), stem / "__init__.py")
    return next((place for place in places if place.is_file()), None)


def _docstrings(tree: ast.Module) -> list[tuple[int, int]]:
    found = []
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if not isinstance(body, list):
            continue
        for item in body:
            value = getattr(item, "value", None)
            if isinstance(item, ast.Expr) and isinstance(getattr(value, "value", None), str):
                found.append((item.lineno, item.end_lineno or item.lineno))
    return found


def compare_with_record(plugin: type[Plugin[Any]], record: Path) -> None:
    """Compare a plugin's source and version with those recorded, or record them."""
    name = f"{plugin.kind}/{plugin.name}"
    now = {"version": plugin.version, "source": source_digest(plugin)}
    known = json.loads(record.read_text(encoding="utf-8")) if record.is_file() else {}
    if os.environ.get(RECORD) == "1":
        text = json.dumps({**known, name: now}, indent=1, sort_keys=True) + "\n"
        record.write_text(text, encoding="utf-8")
        return
    again = f"{RECORD}=1 records it in {record.name}"
    if name not in known:
        raise AssertionError(f"the source of {name} is not recorded: {again}")
    if known[name]["source"] == now["source"]:
        return
    if known[name]["version"] == now["version"]:
        raise AssertionError(
            f"the source of {name} changed and its version is still {plugin.version}: raise it, "
            f"unless the same parameters and rows give what they gave before; then {again}"
        )
    raise AssertionError(f"version {plugin.version} of {name} is not recorded yet: {again}")
