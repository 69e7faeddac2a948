"""Conditions that are asked once for each value say of each row what asking the row says."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from row_batches import batch_of
from sizes import sized

from khichdi.plugins.registry import load_registry

EXAMPLES = settings(max_examples=sized(500, few=40))
WORDS = ["English", "english", "", "Hindi", "ﬁn", "Straße", "STRASSE", "a b", "日本"]
texts = st.sampled_from(WORDS)
lists = st.lists(texts, max_size=3)
rows = st.lists(
    st.fixed_dictionaries(
        {"input": texts, "categories": lists, "input_languages": lists, "output_languages": lists}
    ),
    max_size=12,
)
wanted = st.lists(texts, min_size=1, max_size=2)


def reasons(name: str, data: list[dict[str, Any]], params: dict[str, Any]) -> list[Any]:
    filter_ = load_registry().create("filter", name, params)
    batch = batch_of([{}, *data, {}])
    # A slice of a longer batch, as a table's batches are: its lists do not begin at 0.
    return list(filter_.reasons(batch.slice(1, len(data))))


@EXAMPLES
@given(rows, wanted, wanted, st.sampled_from(["keep", "drop"]))
def test_languages(
    data: list[dict[str, Any]], one: list[str], two: list[str], undeclared: str
) -> None:
    def expected(row: dict[str, Any]) -> str | None:
        for side, these in (("input", one), ("output", two)):
            said = row[f"{side}_languages"]
            if set(said) - set(these) or (not said and undeclared == "drop"):
                return f"language-{side}"
        return None

    params = {"input": one, "output": two, "undeclared": undeclared}
    assert reasons("languages", data, params) == [expected(row) for row in data]


@EXAMPLES
@given(rows, wanted, st.sampled_from(["include", "exclude", "both"]))
def test_categories(data: list[dict[str, Any]], these: list[str], which: str) -> None:
    include = [word for word in WORDS if word not in these] if which == "both" else these

    def expected(row: dict[str, Any]) -> str | None:
        said = set(row["categories"])
        if which != "include" and said & set(these):
            return "category-excluded"
        if which != "exclude" and not said & set(include):
            return "category-not-included"
        return None

    params = {"include": include} if which != "exclude" else {}
    params |= {"exclude": these} if which != "include" else {}
    assert reasons("categories", data, params) == [expected(row) for row in data]


CONDITIONS = st.one_of(
    st.builds(lambda text: {"equals": text}, texts),
    st.builds(lambda these: {"one_of": these}, wanted),
    st.builds(lambda text: {"contains": text}, texts.filter(bool)),
    st.builds(lambda text: {"matches": text}, st.sampled_from(["^$", "s+e", "[A-Z]", "b$"])),
)


@EXAMPLES
@given(rows, CONDITIONS, st.booleans(), st.booleans(), st.sampled_from(["input", "categories"]))
def test_where(
    data: list[dict[str, Any]],
    condition: dict[str, Any],
    ignore_case: bool,
    negate: bool,
    field: str,
) -> None:
    [(name, value)] = condition.items()
    same = str.casefold if ignore_case else str

    def meets(text: str) -> bool:
        match name:
            case "equals":
                return same(text) == same(value)
            case "one_of":
                return same(text) in map(same, value)
            case "contains":
                return same(value) in same(text)
        return re.search(value, text, re.IGNORECASE if ignore_case else 0) is not None

    def expected(row: dict[str, Any]) -> str | None:
        found = row[field] if field == "categories" else [row[field]]
        return None if any(map(meets, found)) is not negate else "where"

    params = {**condition, "field": field, "ignore_case": ignore_case, "negate": negate}
    assert reasons("where", data, params) == [expected(row) for row in data]
