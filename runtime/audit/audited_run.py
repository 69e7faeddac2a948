"""The run that is audited: its documents, and the places where its artifacts may lie."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...schema.audit import LEVELS
from ...schema.claims import claims
from ...schema.errors import InputError
from ...schema.lock import Lock
from ...schema.plan import Plan, PlanStep
from ...schema.record import Output, Record, RecordedStep
from ...schema.training_states import States
from ..training_states import read_states

OF_KIND = {"source": "sources", "pack": "batches", "evaluator": "metrics", "exporter": "exports"}
OF_TRAINING = {"trace": "steps", "states": "steps", "weights": "starting weights"}
QUANTIZED = "quantized"
"""The name, among a training's weights, of the base as it is stored after quantization."""

ROWS = {"rows": "rows", "drops": "drops"}
MADE: dict[str, dict[str, str]] = {
    "source": {"files": "files"},
    "tokens": {"tokenizer": "files"},
    "reader": ROWS,
    "filter": ROWS,
    "sampler": ROWS,
    "scorer": {"rows": "rows"},
    "mixture": {"rows": "rows"},
    "split": {"train": "rows", "validation": "rows"},
    "pack": {"train": "packs", "validation": "packs", "drops": "drops"},
    "runtime": {"adapter": "adapter", "trace": "values", "weights": "values", "states": "states"},
    "evaluator": {"predictions": "values", "metrics": "values"},
    "exporter": {"model": "model"},
}
"""The outputs of a step of each kind, each with its own kind."""
OPTIONAL = {("runtime", "states"), ("pack", "drops")}


def upto(level: str | None) -> tuple[str, ...]:
    """Return the levels to audit: all, or those up to one."""
    return LEVELS if level is None else LEVELS[: LEVELS.index(level) + 1]


@dataclass(frozen=True)
class Claim:
    """A run as its documents claim it.

    Attributes:
        subject: its name in the report; never a path.
        folder: where the run's own files are.
        record: the claims.
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

    def claims(self) -> dict[str, tuple[str, ...]]:
        """Return the fields of its documents that nothing binds, by kind of claim."""
        found = {"record": self.record, "plan": self.plan, "lock": self.lock}
        return claims({name: one.to_json() for name, one in found.items() if one is not None})

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
                yield step, name, output, self.level_of(step, name)

    def level_of(self, step: RecordedStep | PlanStep, output: str) -> str:
        """Return the level that an output of a step is audited at."""
        if step.kind == "runtime":
            return OF_TRAINING.get(output, "adapter")
        if step.name in base_steps(self.plan):
            return "base weights"
        return OF_KIND.get(step.kind, "data")


def base_steps(plan: Plan | None) -> set[str]:
    """Return the sources whose files are weights: those that a step takes as its base."""
    if plan is None:
        return set()
    return {name for step in plan.steps for role, name, _ in step.sources() if role == "base"}


UNSIGNED = ("adapter.sig", "loss.png", "log.txt", "report.html", "audit.html")
"""Files that a run's folder may hold and no signature of ours covers."""
OWN_FILES = {"record.json", "plan.json", "attestation.json", "calibration.json", *UNSIGNED}
"""Files of a run's folder, or of a bundle, beside those that its documents name."""


def copied_folders(claim: Claim) -> dict[str, Output]:
    """Return the folders of a run that people take, each with the output that it is a copy of."""
    return {
        step.name if name == "model" else "adapter": output
        for step, name, output, _ in claim.outputs()
        if name in ("adapter", "model")
    }


def unknown_files(claim: Claim) -> list[str]:
    """Return the files of a run's folder that neither its documents nor its layout name."""
    known = {f"recipe/{file.path}" for file in claim.record.files} | OWN_FILES
    known.add(f"recipe/{claim.record.recipe}.lock")
    for folder, output in copied_folders(claim).items():
        known |= {f"{folder}/{path}" for path in output.files} | {f"{folder}.sig"}
    for _, _, output, _ in claim.outputs():
        artifact = f"artifacts/{output.manifest.removeprefix('sha256:')}"
        known |= {f"{artifact}/{path}" for path in output.files}
    found = (path for path in claim.folder.rglob("*") if path.is_symlink() or not path.is_dir())
    names = (path.relative_to(claim.folder).as_posix() for path in found)
    return sorted(name for name in names if name not in known)


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
        raise InputError(f"{path.name} is missing, or is not a plain file")
    return path.read_bytes()
