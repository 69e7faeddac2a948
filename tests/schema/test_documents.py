"""A document that two readers could read differently is refused, with the place of the fault."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from khichdi.schema.attestation import AuditStatement
from khichdi.schema.bundle import Contents
from khichdi.schema.errors import InputError
from khichdi.schema.lock import Lock
from khichdi.schema.plan import Plan
from khichdi.schema.record import Record
from khichdi.schema.seal import SEAL, Sealed

from .test_seal import LOCK, PLAN, RECORD, SHA

CONTENTS = Contents(recipe="pico", recipe_hash=SHA, result_hash=SHA, files={}, left_out=("a#b",))
SECOND = Path(__file__).parents[2] / "docs" / "recipe_hash.py"


def resealed(model: type[Sealed], document: Sealed, change: Callable[[Any], None]) -> str:
    """Return a document's text after a change that its model did not check, sealed again."""
    value = json.loads(document.model_dump_json())
    change(value)
    return model._text({**value, SEAL: model._seal(value)})


def twice(*path: str | int) -> Callable[[Any], None]:
    def change(value: Any) -> None:
        for part in path:
            value = value[part]
        value.append(value[0])

    return change


def an_input(reference: str) -> Callable[[Any], None]:
    return lambda plan: plan["steps"][0].update(inputs={"rows": reference})


def a_parameter(value: Any) -> Callable[[Any], None]:
    return lambda plan: plan["steps"][0]["plugin"]["params"].update(a=value)


FORGED: dict[str, tuple[type[Sealed], Sealed, Callable[[Any], None], str]] = {
    "a second train step beside the honest one": (
        Record, RECORD, twice("steps"), "steps: .*'train' is listed twice",
    ),
    "a distribution in two versions": (
        Record, RECORD, twice("plugins"), "plugins: .*'khichdi' is listed twice",
    ),
    "two steps of one name in the plan": (
        Plan, PLAN, twice("steps"), "steps: .*'base' is listed twice",
    ),
    "a pinned file with two digests": (
        Lock, LOCK, twice("materials", "base", "files"), "base.files: .*'a.json' is listed twice",
    ),
    "an output left out twice": (
        Contents, CONTENTS, twice("left_out"), "left_out: .*'a#b' is listed twice",
    ),
    "an input that names no output": (Plan, PLAN, an_input("base"), "steps.0.inputs.rows"),
    "an integer that other readers round": (
        Plan, PLAN, a_parameter(2**63), "steps.0.plugin.params.a: an integer beyond 2",
    ),
    "an infinite parameter": (Plan, PLAN, a_parameter(1e999), "steps.0.plugin.params.a: inf"),
    "a figure that is not a number": (
        Record, RECORD, lambda r: r["metrics"].update(loss=float("nan")), "metrics.loss: nan",
    ),
}  # fmt: skip


@pytest.mark.parametrize("wanted", FORGED)
def test_a_document_that_could_be_read_in_two_ways_is_refused(wanted: str) -> None:
    model, document, change, fault = FORGED[wanted]
    with pytest.raises(InputError, match=fault) as caught:
        model.from_json(resealed(model, document, change), "x.json")
    assert (caught.value.status, caught.value.file) == (2, "x.json")


@pytest.mark.parametrize(
    "document", [LOCK, PLAN, RECORD, CONTENTS], ids=lambda one: type(one).__name__
)
def test_a_key_that_is_given_twice_is_refused_by_name(document: Sealed) -> None:
    text = document.to_text().replace('"recipe": ', '"recipe": "other", "recipe": ', 1)
    with pytest.raises(InputError, match="the key 'recipe' is listed twice"):
        type(document).from_json(text, "x")


def test_a_statement_with_two_results_is_refused() -> None:
    text = '{"predicate": {"result": "FAILED", "result": "PASSED"}}'
    with pytest.raises(InputError, match="the key 'result' is listed twice"):
        AuditStatement.from_json(text, "x")


def test_the_second_implementation_refuses_them_too(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text(PLAN.to_text())
    for change in (twice("steps"), None):
        text = resealed(Record, RECORD, change) if change else RECORD.to_text()
        if change is None:
            text = text.replace('"seed": 5', '"seed": 5, "seed": 6', 1)
        (tmp_path / "record.json").write_text(text)
        done = subprocess.run(
            [sys.executable, str(SECOND), str(tmp_path)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        assert "a name is given twice" in done.stderr
