"""The toolkit is all that built-in plugins use of it, and costs nothing until it is used."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from khichdi.plugins import toolkit

PLUGINS = Path(toolkit.__file__).parent.parent


@pytest.mark.heavy  # a name is imported when it is asked for
@pytest.mark.parametrize("name", toolkit.__all__)
def test_a_name_is_documented_and_there(name: str) -> None:
    assert name in str(toolkit.__doc__)
    assert getattr(toolkit, name) is not None


def test_built_in_plugins_use_nothing_else_of_it() -> None:
    private = set()
    for file in (PLUGINS / "builtin").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and "plugins.toolkit" in (node.module or ""):
                private |= {alias.name for alias in node.names} - set(toolkit.__all__)
    assert private == PRIVATE


PRIVATE = {"determinism"}
"""The runtime reads every switch back while it trains, which no other has to."""


def test_importing_it_brings_no_library() -> None:
    script = (
        "import sys, khichdi.plugins.toolkit\n"
        "print(sorted({'torch', 'transformers', 'numpy', 'peft'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_other_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = toolkit.nothing
