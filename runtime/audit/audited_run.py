"""What is audited: a run's documents, and the places where its artifacts may lie."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...schema.audit import LEVELS
from ...schema.errors import InputError
from ...schema.lock import Lock
from ...schema.plan import Plan
from ...schema.record import Output, Record, RecordedStep
from ...schema.training_states import States
from ..training_states import read_states

OF_KIND = {"source": "sources", "pack": "batches", "evaluator": "metrics"}
OF_TRAINING = {"trace": "steps", "states": "steps", "weights": "base weights"}
QUANTIZED = "quantized"
"""The name, among a training's weights, of the base as it is stored after quantization."""


def level_of(kind: str, output: str) -> str:
    """Return the level that an output of a step of this kind is audited at."""
    if kind == "runtime":
        return OF_TRAINING.get(output, "adapter")
    return OF_KIND.get(kind, "data")


def upto(level: str | None) -> tuple[str, ...]:
    """Return the levels to audit: all, or those up to one."""
    return LEVELS if level is None else LEVELS[: LEVELS.index(level) + 1]


@dataclass(frozen=True)
class Claim:
    """A run as it is told.

    Attributes:
        subject: what it is called in the report; no path.
        folder: where the run's own files are.
        record: what is claimed.
        plan: the plan that ran, unless only the record is there.
        lock: the lock that it ran with, where it is there.
        stores: roots of stores whose artifacts may be the run's.
    """

    subject: str
    folder: Path
    record: Record
    plan: Plan | None
    lock: Lock | None
    stores: tuple[Path, ...]

    def artifact(self, output: Output) -> Path | None:
        """Return the folder of an output's files, in the first place that has it."""
        for root in self.stores:
            folder = root / "artifacts" / output.manifest.removeprefix("sha256:")
            if folder.is_dir():
                return folder
        return None

    def outputs(self) -> Iterator[tuple[RecordedStep, str, Output, str]]:
        """Yield each output with its step, its name and its level, in the order of the run."""
        for step in self.record.steps:
            for name, output in step.result.outputs.items():
                yield step, name, output, level_of(step.kind, name)


def open_claim(folder: Path, subject: str, stores: tuple[Path, ...]) -> Claim:
    """Read a run's documents.

    Raises:
        InputError: one of them is not what it should be; names it.
    """
    record = Record.from_json(_read(folder / "record.json"), "record.json")
    plan, lock = folder / "plan.json", folder / "recipe" / f"{record.recipe}.lock"
    return Claim(
        subject=subject,
        folder=folder,
        record=record,
        plan=Plan.from_json(_read(plan), "plan.json") if plan.is_file() else None,
        lock=Lock.from_json(_read(lock), f"recipe/{lock.name}") if lock.is_file() else None,
        stores=stores,
    )


def weights_of(claim: Claim, step: RecordedStep) -> dict[str, str] | None:
    """Return the digests of weights that a training wrote down; None where they are not there."""
    folder = claim.artifact(step.result.outputs["weights"])
    try:
        found = json.loads((folder / "values.json").read_bytes()) if folder else None
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def committed(claim: Claim, step: RecordedStep) -> tuple[list[dict[str, Any]], States] | None:
    """Return a training's trace and the states that it is committed to.

    None where it kept no states, or where one of the two is not here or cannot be read.
    """
    outputs = step.result.outputs
    if "states" not in outputs or "trace" not in outputs:
        return None
    folders = [claim.artifact(outputs[name]) for name in ("trace", "states")]
    if folders[0] is None or folders[1] is None:
        return None
    try:
        trace = json.loads((folders[0] / "values.json").read_bytes())
        numbered = [entry["step"] for entry in trace] == list(range(1, len(trace) + 1))
        return (trace, read_states(folders[1])) if numbered else None
    except (OSError, ValueError, KeyError, TypeError, InputError):
        return None


def _read(path: Path) -> bytes:
    if path.is_symlink() or not path.is_file():
        raise InputError(f"{path.name} is missing, or not a plain file")
    return path.read_bytes()
