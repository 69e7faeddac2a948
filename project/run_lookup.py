"""Look up a finished run, and read its record, rows, predictions, metrics and adapter."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..runtime.store.runs import PLAN, RECORD, all_runs
from ..runtime.store.store import Store
from ..schema.errors import InputError, RegistryError, StoreError
from ..schema.plan import Plan
from ..schema.record import Record, RecordedStep
from .session import store_folder

if TYPE_CHECKING:
    import pyarrow as pa

    from ..runtime.row_lineage import Lineage

LATEST = "latest"


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        folder: the run's own folder: record, plan, recipe, adapter, exports.
        record: the run as recorded: steps, digests, metrics, environment.
        store: the store that has the run's artifacts.
    """

    folder: Path
    record: Record
    store: Store

    @property
    def name(self) -> str:
        """The run's name, which `open_run` and every command take."""
        return self.folder.resolve().name

    @property
    def recipe_hash(self) -> str:
        """The digest of everything that the run was asked to do."""
        return self.record.recipe_hash

    @property
    def result_hash(self) -> str:
        """The digest of everything that came out of the run."""
        return self.record.result_hash

    @property
    def metrics(self) -> dict[str, float]:
        """Metrics of training and of each evaluation; `_before` marks those of the base alone."""
        return self.record.metrics

    @property
    def adapter(self) -> Path:
        """The folder of the trained adapter, in peft's format."""
        return self.folder / "adapter"

    @property
    def evaluations(self) -> list[str]:
        """The names of the evaluation steps, in the order of the plan."""
        return [step.name for step in self.record.steps if step.kind == "evaluator"]

    def claimed_metrics(self) -> tuple[str, ...]:
        """Return the metrics that do not follow from the run's trace and predictions.

        They are as the run says: only an audit that executes the step again confirms them.
        """
        from ..plugins.registry import load_registry
        from ..runtime.audit.audited_run import open_claim
        from ..runtime.audit.figures import by_plugins, claimed_metrics, nothing_recomputed

        claim = open_claim(self.folder, self.name, (self.store.root,))
        try:
            recompute = by_plugins(load_registry())
        except RegistryError:
            recompute = nothing_recomputed
        return claimed_metrics(claim, recompute)

    def claims(self) -> dict[str, tuple[str, ...]]:
        """Return the fields of the run's documents that no hash binds, by kind of claim."""
        from ..runtime.audit.audited_run import open_claim

        return open_claim(self.folder, self.name, (self.store.root,)).claims()

    def plan(self) -> Plan:
        """Return the plan that ran."""
        path = self.folder / PLAN
        return Plan.from_json(path.read_bytes(), str(path))

    def lineage(self) -> Lineage:
        """Return the run's lineage, which answers questions about single rows."""
        from ..runtime.row_lineage import Lineage

        return Lineage(self.plan(), self.record, self.store)

    def rows(self, split: str = "train") -> pa.Table:
        """Return the curated rows as a pyarrow table.

        Args:
            split: `train`, in the order of training, or `validation`, the rows held out.

        Raises:
            InputError: there is no such split.
            StoreError: the store does not have the rows any more.
        """
        from ..runtime.tables import read_table

        step = self._step("split")
        if split not in step.result.outputs:
            known = ", ".join(step.result.outputs)
            raise InputError(f"there is no split `{split}`", hint=f"splits: {known}")
        return read_table(self._artifact(step, split))

    def predictions(self, evaluation: str | None = None) -> list[dict[str, Any]]:
        """Return the answers of an evaluation, one for each held-out row.

        Args:
            evaluation: one of `evaluations`; left out, the first of the trained model.

        Raises:
            InputError: the run has no such evaluation.
            StoreError: the store does not have the predictions any more.
        """
        names = self.evaluations
        if evaluation is None:
            evaluation = next((name for name in names if not name.endswith("/base")), "")
        if evaluation not in names:
            asked = f"no evaluation `{evaluation}`" if evaluation else "no evaluation"
            hint = f"evaluations: {', '.join(names)}" if names else "add `evaluate` to the recipe"
            raise InputError(f"run {self.name} has {asked}", hint=hint)
        folder = self._artifact(self._step(evaluation), "predictions")
        found: list[dict[str, Any]] = json.loads((folder / "values.json").read_bytes())
        return found

    def _step(self, name: str) -> RecordedStep:
        return next(step for step in self.record.steps if step.name == name)

    def _artifact(self, step: RecordedStep, output: str) -> Path:
        folder = self.store.folder(step.result.outputs[output])
        if not folder.is_dir():
            raise StoreError(
                f"{self.store.root} does not have {step.name}#{output} any more",
                hint="run the recipe again, which computes it again",
            )
        return folder


def open_run(run: str | Path = LATEST, *, store: str | Path | None = None) -> Run:
    """Open a finished run.

    A run's folder may lie anywhere; its store is the one that it lies in, else the usual one.

    Args:
        run: a run's name or folder, or `latest`.
        store: the store's folder; left out, KHICHDI_STORE, else `.khichdi` of the project.

    Raises:
        InputError: there is no such finished run; the hint names the newest.
    """
    usual = Store(store_folder(store))
    finished = [(folder, record) for folder, record in all_runs(usual) if record]
    if run == LATEST and finished:
        return Run(*finished[-1], usual)
    for folder in (usual.runs / run, Path(run)):
        path = folder / RECORD
        if path.is_file():
            record = Record.from_json(path.read_bytes(), str(path))
            around = folder.resolve().parent
            inside = around.name == "runs" and (around.parent / "artifacts").is_dir()
            return Run(folder, record, Store(around.parent) if inside else usual)
    newest = ", ".join(folder.name for folder, _ in finished[-3:])
    hint = f"the newest: {newest}" if newest else f"no runs in {usual.root}"
    raise InputError(f"there is no finished run {run}", hint=hint)
