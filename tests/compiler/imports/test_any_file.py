"""Whatever a configuration holds: a recipe and a report on every key, or a sentence."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from imports import imported, leaves, listed
from sizes import sized

from khichdi.compiler.importers.convert import FORMATS
from khichdi.schema.errors import InputError

NEEDED = {
    "axolotl": {
        "base_model": "a/b",
        "adapter": "lora",
        "datasets": [{"path": "c/d", "type": "alpaca"}],
    },
    "llama-factory": {"model_name_or_path": "a/b", "dataset": "own"},
    "trl": {"model_name_or_path": "a/b", "use_peft": True, "dataset_name": "c/d"},
}
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 10**6), st.floats(-2, 5, allow_nan=False),
    st.sampled_from(["", "a/b", "auto", "1e-4", "all-linear", "q_proj,v_proj", "no\nline", "\a"]),
    st.text(st.characters(exclude_categories=["C"]), max_size=12),
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["path", "type", "eos_token", "odd"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@pytest.mark.parametrize("kind", FORMATS)
@settings(max_examples=sized(400, few=30), deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_values_of_any_keys(kind: str, data: st.DataObject) -> None:
    names = [*FORMATS[kind].terms.names(), "nonsense"]
    drawn = data.draw(st.dictionaries(st.sampled_from(names), VALUES, max_size=12))
    config: dict[str, Any] = {**NEEDED[kind], **drawn}
    # JSON is YAML, with the quotes that keep every text a text.
    text = json.dumps(config, indent=1, ensure_ascii=False)
    try:
        done = imported(text, kind, skeleton=True)
    except InputError as error:
        # Only for want of a model or data; whatever else there is can be written as a recipe.
        if not re.search(" expected|trains nothing|looks like", error.message):
            raise
        return
    told = listed(done.report)
    assert sorted(told) == sorted(leaves(text))
