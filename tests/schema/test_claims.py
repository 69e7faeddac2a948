"""The list of fields that a run only claims: each exists, and none is a field that a hash binds."""

from __future__ import annotations

from typing import Any

import pytest

from khichdi.schema.claims import CLAIMED, claimed, claims
from khichdi.schema.lock import Lock, Material, PinnedFile
from khichdi.schema.plan import Plan, PlanStep, PluginRef
from khichdi.schema.record import Record, RecordedStep, StepResult

FIELDS: dict[str, tuple[Any, ...]] = {
    "record": (Record, RecordedStep, StepResult),
    "plan": (Plan, PlanStep, PluginRef, Material, PinnedFile),
    "lock": (Lock, Material, PinnedFile),
}


def test_each_claimed_field_is_a_field_of_its_document() -> None:
    for one in CLAIMED:
        known = {name for model in FIELDS[one.document] for name in model.model_fields}
        assert set(one.path) - {"*"} <= known, one


@pytest.mark.parametrize(
    "place",
    [
        "record result_hash", "record recipe_hash", "record steps.0.result.outputs.rows.digest",
        "record metrics.eval_loss", "record seed", "plan steps.0.key", "plan recipe_hash",
        "plan steps.3.settings", "plan steps.0.material.files.0.sha256", "record lock",
        "lock materials.base.files.0.sha256", "record files.0.sha256",
    ],
)  # fmt: skip
def test_a_field_that_a_hash_binds_is_not_listed(place: str) -> None:
    document, path = place.split(" ")
    assert claimed(document, path.split(".")) is None


def test_a_place_below_a_claimed_field_is_claimed_with_its_reason() -> None:
    found = claimed("record", ("steps", 3, "result", "measured", "tokens_per_second"))
    assert found is not None
    assert (found.what, bool(found.why)) == ("times and memory", True)
    assert claimed("record", ("steps", 3, "result")) is None


def test_only_the_fields_that_stand_in_the_documents_are_named() -> None:
    record = {"started": "now", "settings": [], "steps": [{"seconds": 1.0}, {}]}
    assert claims({"record": record, "lock": {"materials": {}}}) == {
        "times and memory": ("record started", "record steps.*.seconds"),
    }
