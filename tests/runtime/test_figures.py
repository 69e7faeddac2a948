"""Figures are found in a step's facts although names of metrics have dots."""

from __future__ import annotations

import pytest

from khichdi.runtime.audit.figures import _at

FACTS = {
    "train": {"packs": 3},
    "metrics": {"gsm8k.exact_match,strict-match": 0.25, "a.b": {"c": 1}, "a": {"x": 2}, "rows": 4},
}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("train.packs", 3), ("metrics.gsm8k.exact_match,strict-match", 0.25),
        ("metrics.a.b.c", 1), ("metrics.a.x", 2), ("metrics.rows", 4), ("metrics.gsm8k", None),
        ("train.packs.more", None), ("nothing", None), ("metrics.a.b", {"c": 1}),
    ],
)  # fmt: skip
def test_a_dotted_path_leads_to_its_value(path: str, expected: object) -> None:
    assert _at(FACTS, path) == expected
