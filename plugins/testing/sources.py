"""Whether a plugin's version was raised when its source changed."""

from __future__ import annotations

import ast
import io
import json
import os
import sys
import tokenize
from pathlib import Path
from typing import Any

from ...schema.digest import digest
from ..base import Plugin

RECORD = "KHICHDI_RECORD"
"""Set to 1, it has the tests write down the sources that there are instead of comparing them."""


def source_digest(plugin: type[Plugin[Any]]) -> str:
    """Return the digest of the file that a plugin is written in, less comments and docstrings."""
    file = getattr(sys.modules[plugin.__module__], "__file__", None)
    if file is None:
        raise AssertionError(f"{plugin.__module__} has no file")
    text = Path(file).read_text(encoding="utf-8")
    lines = text.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    for first, last in _docstrings(ast.parse(text)):
        lines[first - 1 : last] = [""] * (last - first + 1)
    code = "\n".join(line.rstrip() for line in lines if line.strip())
    return digest("plugin-source", {"code": code})


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
