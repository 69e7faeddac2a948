"""Find the artifacts of a step, and those that it took in, among the places of a claimed run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...schema.record import RecordedStep
from .audited_run import Claim

if TYPE_CHECKING:
    import pyarrow as pa


def output_values(claim: Claim, step: RecordedStep, output: str) -> Any:
    """Return the JSON of an output of values; None where it is not here."""
    folder = _folder(claim, step, output)
    return json.loads((folder / "values.json").read_bytes()) if folder else None


def output_table(claim: Claim, step: RecordedStep, output: str) -> pa.Table | None:
    """Return the table of an output; None where it is not here."""
    from ..tables import read_table

    folder = _folder(claim, step, output)
    return read_table(folder) if folder else None


def input_table(claim: Claim, step: RecordedStep, role: str) -> pa.Table | None:
    """Return the table that a step took in; None where it is not here."""
    name, output = inputs_of(claim, step).get(role, ("", ""))
    before = [one for one in claim.record.steps if one.name == name]
    return output_table(claim, before[0], output) if before else None


def inputs_of(claim: Claim, step: RecordedStep) -> dict[str, tuple[str, str]]:
    """Return, by role, the step and the output that a step took in."""
    planned = [one for one in claim.plan.steps if one.name == step.name] if claim.plan else []
    return {role: (name, output) for one in planned for role, name, output in one.sources()}


def settings_of(claim: Claim, step: RecordedStep) -> dict[str, Any]:
    """Return what the language says about a step."""
    planned = [one for one in claim.plan.steps if one.name == step.name] if claim.plan else []
    return dict(planned[0].settings) if planned else {}


def _folder(claim: Claim, step: RecordedStep, output: str) -> Path | None:
    found = step.result.outputs.get(output)
    return claim.artifact(found) if found else None
