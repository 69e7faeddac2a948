"""Record document: a run's history, and the result of each step as the store keeps it."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue, field_validator

from .document import Digest, Document, PathBelow, unique
from .estimate import Comparison
from .file_names import inside
from .lock import Distribution
from .seal import Sealed


class FileDigest(Document):
    """A file of an artifact."""

    size: int
    sha256: Digest


class Output(Document):
    """One thing that a step produced.

    `digest` is of the content (rows, tensors, values) and is what an audit compares; `files` are
    the bytes that hold it, and `manifest` binds them: it names the folder in the store.
    """

    kind: Literal["files", "rows", "drops", "packs", "adapter", "values", "model", "states"]
    digest: Digest
    manifest: Digest
    files: dict[PathBelow, FileDigest]


class StepResult(Sealed):
    """Result of a step, stored under its key.

    `facts` follow from inputs alone (counts, losses); `measured` (times, rates, memory) do not
    and are in no digest.
    """

    key: Digest
    outputs: dict[str, Output]
    facts: dict[str, JsonValue] = {}
    measured: dict[str, JsonValue] = {}
    environment: dict[str, JsonValue] = {}

    def manifests(self) -> set[str]:
        """Return the manifests of the artifacts that it names."""
        return {output.manifest for output in self.outputs.values()}


class RecordedStep(Document):
    """A step in a run: its inputs, its results, and whether it ran or was cached."""

    name: PathBelow
    kind: str
    plugin: str
    version: int
    seed: int | None
    status: Literal["ran", "cached"]
    seconds: float
    result: StepResult

    def digests(self) -> dict[str, str]:
        """Return the content digest of each output."""
        return {name: output.digest for name, output in self.result.outputs.items()}


class RecipeFile(Document):
    """A file of the recipe that ran, as the run's folder keeps it."""

    path: str
    sha256: Digest

    @field_validator("path")
    @classmethod
    def _stands_anywhere(cls, path: str) -> str:
        if not inside(path):
            raise ValueError(f"a path below the run's folder was expected, got {path[:80]!r}")
        return path


class EvaluatedRun(Document):
    """The run whose trained model a later record evaluates again."""

    recipe_hash: Digest
    result_hash: Digest


class Record(Sealed):
    """A whole run.

    `started` is ISO 8601 in UTC with microseconds (`2026-11-21T20:44:07.031250+00:00`), so that
    runs of one second are in order; earlier versions wrote whole seconds with a local offset.
    `bound` is the recipe that ran, every default written out, so that a record can be read and
    compared without the recipe's files; None in records from before it was kept. `settings` are the
    `path=value` that were set for this run and are not in the files. `until` is the step that the
    run ended with, where that is not the recipe's last one. `files` are the recipe's own, the one
    that ran first. `lock` is the seal of the lock, `installed` every distribution of the
    interpreter. `estimate` is the estimated cost of training beside the measured one; it is in no
    hash of a result. `adapter_texts` are the texts beside the adapter in the run's folder (model
    card, chat template), with their sha256. `evaluates` is the run that this one only adds
    evaluations to.
    """

    record: Literal[1] = 1
    recipe: PathBelow
    recipe_hash: Digest
    result_hash: Digest
    seed: int
    started: str
    seconds: float
    steps: Annotated[tuple[RecordedStep, ...], unique("name")]
    metrics: dict[str, float]
    plugins: Annotated[tuple[Distribution, ...], unique("name")]
    environment: dict[str, Any]
    bound: dict[str, Any] | None = None
    settings: tuple[str, ...] = ()
    until: str | None = Field(None, exclude_if=lambda step: step is None)
    files: Annotated[tuple[RecipeFile, ...], unique("path")] = ()
    lock: Digest | None = None
    installed: Annotated[tuple[Distribution, ...], unique("name")] = ()
    estimate: Comparison | None = None
    adapter_texts: dict[PathBelow, Digest] = Field({}, exclude_if=lambda texts: not texts)
    evaluates: EvaluatedRun | None = Field(None, exclude_if=lambda run: run is None)

    @property
    def when(self) -> str:
        """Return the start for people: `2026-11-21 20:44:07+00:00`."""
        return re.sub(r"\.\d+", "", self.started).replace("T", " ")
