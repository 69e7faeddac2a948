"""The canonical layout: nothing is lost, nothing changes its meaning, and twice is once."""

from __future__ import annotations

import re
from collections import Counter
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from khichdi.cli.shipped import shipped_folder
from khichdi.compiler.layout import format_recipe
from khichdi.plugins.registry import load_registry
from khichdi.schema.yaml import parse
from scribe import Scribe, any_recipe

REGISTRY = load_registry()
SHIPPED = sorted(shipped_folder().rglob("*.yaml"))


def formatted(text: str) -> str:
    raw = text.encode()
    return format_recipe(raw, parse(raw, "r.yaml"), REGISTRY)


def comments(text: str) -> Counter[str]:
    return Counter(re.findall(r"# comment \d+ of: this, \{one\}", text))


@given(st.randoms())
def test_any_recipe_keeps_its_meaning_and_comments_and_twice_is_once(random: Random) -> None:
    scribe = Scribe(random)
    text = scribe.write(any_recipe(random))
    once = formatted(text)
    assert parse(once.encode(), "r.yaml").data == parse(text.encode(), "r.yaml").data
    assert comments(once) == comments(text)
    assert formatted(once) == once
    assert once.endswith("\n")
    assert not re.search(r"\r|\n\n\n|^\n|\n\n\Z|[ \t]$", once)
