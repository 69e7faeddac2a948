"""docs/plugins.md has a heading for each hook, kind and method, with the code's own signature."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from khichdi.plugins import hookspecs
from khichdi.plugins.kinds import KINDS, Editor
from khichdi.plugins.registry import API_VERSION

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "plugins.md").read_text("utf-8")


def signatures() -> dict[str, str]:
    found = {}
    for kind, base in KINDS.items():
        hook = f"khichdi_{kind}s"
        found[f"hook `{hook}`"] = f"def {hook}{inspect.signature(getattr(hookspecs, hook))}"
        for cls in (base, *([Editor] if kind == "filter" else [])):
            methods: list[tuple[str, Any]] = list(vars(cls).items())
            for name, method in methods:
                if inspect.isfunction(method) and not name.startswith("_"):
                    heading = f"`{cls.__name__}.{name}`"
                    found[heading] = f"def {name}{inspect.signature(method)}"
    return found


@pytest.mark.parametrize("heading", signatures())
def test_a_signature_is_the_codes(heading: str) -> None:
    part = TEXT.split(f"\n### {heading}\n")[1].split("\n### ")[0]
    assert f"```python\n{signatures()[heading]}\n```" in part


def test_there_are_no_other_headings() -> None:
    assert set(re.findall(r"^### (.+)$", TEXT, re.MULTILINE)) == set(signatures())
    assert set(KINDS) <= set(re.findall(r"^## (\w+)$", TEXT, re.MULTILINE))
    assert f"which is {API_VERSION}." in TEXT
