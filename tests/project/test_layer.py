"""The application parses no arguments and prints nothing."""

from __future__ import annotations

import ast
from pathlib import Path

FILES = sorted((Path(__file__).parents[2] / "project").glob("*.py"))


def test_no_module_imports_argparse_or_prints() -> None:
    assert FILES
    wrong = []
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                names = [name.name for name in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [str(node.module)]
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                names = [node.func.id]
            else:
                continue
            wrong += [f"{file.name}:{node.lineno}" for n in names if n in ("argparse", "print")]
    assert not wrong
