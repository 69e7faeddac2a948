"""Look up a finished run, and read its record, rows, predictions, metrics and adapter."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..runtime.journal import Watched, watch
from ..runtime.store.runs import PLAN, RECORD, newest_runs, run_names, trained
from ..runtime.store.store import Store
from ..schema.errors import InputError, RegistryError, StoreError
from ..schema.plan import Plan
from ..schema.record import Record, RecordedStep
from .session import store_folder

if TYPE_CHECKING:
    import pyarrow as pa

    from ..runtime.row_lineage import Lineage
    from .predictions import ScoredRow

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
        """The digest of everything that the run was to do."""
        return self.record.recipe_hash

    @property
    def result_hash(self) -> str:
        """The digest of all outputs of the run."""
        return self.record.result_hash

    @property
    def metrics(self) -> dict[str, float]:
        """Metrics of training and of each evaluation; `_before` marks those of the base alone."""
        return self.record.metrics

    @property
    def adapter(self) -> Path:
        """The folder of the trained adapter, in peft's format.

        Raises:
            InputError: the run ended with its data.
        """
        if trained(self.record) is None:
            raise InputError(f"run {self.name} trained nothing: it ended with its data")
        return self.folder / "adapter"

    def has(self, step: str) -> bool:
        """Return whether the run has a step of this name."""
        return any(done.name == step for done in self.record.steps)

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
            recompute = by_plugins(load_registry(), against_rows=False)
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

        if not self.has("split"):
            last = self.record.steps[-1].name
            raise InputError(f"run {self.name} ended with {last}, before its rows were mixed")
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

    def scored_rows(self, evaluation: str | None = None) -> list[ScoredRow]:
        """Return the answers of an evaluation, each with its prompt, references and scores.

        Args:
            evaluation: one of `evaluations`; left out, the first of the trained model.

        Raises:
            InputError: the run has no such evaluation.
            StoreError: the store does not have the predictions or their rows any more.
        """
        from .predictions import scored_rows

        return scored_rows(self.predictions(evaluation), lambda: self.rows("validation"))

    def generate(
        self,
        prompts: Sequence[str | Mapping[str, Any]],
        *,
        max_new_tokens: int = 256,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int = 0,
        stop: Sequence[str] = (),
        base: bool = False,
        raw: bool = False,
    ) -> list[str]:
        """Return the trained model's answers to prompts; the model is loaded for this call.

        Args:
            prompts: questions that the recipe's template renders, or rows of `rows()` as they are.
            max_new_tokens: tokens of an answer at most.
            temperature: 0 answers greedily, else tokens are drawn.
            top_p: tokens are drawn among the likeliest that together have this probability.
            seed: of the draws.
            stop: texts that end an answer, and are cut off.
            base: answer by the base alone.
            raw: take texts as they are, without the template.

        Raises:
            InputError: the run trained no model, or a prompt leaves no room for an answer.
            StoreError: the store does not have base or adapter any more.
            WorkError: packages are missing, or the model cannot be loaded.
        """
        from ..plugins.toolkit.answer_text import Sampling
        from .generate import as_prompt, generate, run_model

        asked = [as_prompt(one, raw=raw) if isinstance(one, str) else one for one in prompts]
        sampling = Sampling(max_new_tokens, temperature, top_p, seed, tuple(stop))
        with run_model(self) as model:
            return [answer.text for answer in generate(model, asked, sampling, base=base)]

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
        run: a run's name, a start or another part of it that no other run's has, its folder, or
            `latest`.
        store: the store's folder; left out, KHICHDI_STORE, else `.khichdi` of the project.

    Raises:
        InputError: there is no such finished run, or there are several; the hint names some.
    """
    usual = Store(store_folder(store))
    folder = exact_run(usual, str(run)) or (Path(run) if _finished(Path(run)) else None)
    folder = folder or run_by_part(usual, str(run))
    if folder is None:
        newest = ", ".join(folder.name for folder in islice(_finished_runs(usual), 3))
        hint = f"the newest: {newest}" if newest else f"no runs in {usual.root}"
        raise InputError(f"there is no finished run {run}", hint=hint)
    path = folder / RECORD
    record = Record.from_json(path.read_bytes(), str(path))
    around = folder.resolve().parent
    inside = around.name == "runs" and (around.parent / "artifacts").is_dir()
    return Run(folder, record, Store(around.parent) if inside else usual)


def exact_run(store: Store, name: str) -> Path | None:
    """Return the folder of the finished run of this name, or of the newest one for `latest`."""
    if name == LATEST:
        return next(_finished_runs(store), None)
    inside = name not in ("", ".", "..") and "/" not in name
    return store.runs / name if inside and _finished(store.runs / name) else None


def run_by_part(store: Store, part: str) -> Path | None:
    """Return the only finished run whose name starts so, else the only one whose name has the part.

    Raises:
        InputError: there are several.
    """
    names = sorted((name for name in run_names(store) if part and part in name), reverse=True)
    for fits, words in ((str.startswith, "start with"), (str.__contains__, "contain")):
        finished = (name for name in names if fits(name, part) and _finished(store.runs / name))
        found = list(islice(finished, 4))
        if len(found) > 1:
            more = ", …" if len(found) > 3 else ""
            hint = f"write more of the name: {', '.join(found[:3])}{more}"
            raise InputError(f"several runs have names that {words} {part}", hint=hint)
        if found:
            return store.runs / found[0]
    return None


def _finished(folder: Path) -> bool:
    return os.path.isfile(folder / RECORD)


def _finished_runs(store: Store) -> Iterator[Path]:
    return (folder for folder, record in newest_runs(store) if record)


def list_runs(
    limit: int | None = None, before: str | None = None, *, store: str | Path | None = None
) -> list[ListedRun]:
    """List runs by their recorded start, newest first; only the records listed are read.

    Args:
        limit: how many at most; left out, all.
        before: only runs that started before the one that this names.
        store: the store's folder; left out, found as `store_folder` says.

    Raises:
        InputError: `before` names no run of this store.
    """
    usual = Store(store_folder(store))
    start = None
    if before is not None:
        start = exact_run(usual, before) or run_by_part(usual, before)
        if start is None and before in run_names(usual):
            start = usual.runs / before
        if start is None:
            raise InputError(f"there is no run {before} in {usual.root}")
    found = islice(newest_runs(usual, before=start), limit)
    return [
        ListedRun(folder, record, None if record else watch(folder)) for folder, record in found
    ]


@dataclass(frozen=True)
class ListedRun:
    """A run in a list: its record where it finished, else its journal, if it has one."""

    folder: Path
    record: Record | None
    watched: Watched | None = None

    @property
    def status(self) -> str:
        """`finished`; else `running`, `failed` or `interrupted`, as far as its journal tells."""
        if self.record is not None:
            return "finished"
        return self.watched.status if self.watched else "unfinished"
