"""Compare the evaluations of runs row by row: metrics, intervals, and rows that changed sides.

Within one run, the trained model is compared with the base alone. Of several runs, each trained
model is compared with that of the first. Rows are matched by id, and are only the same where prompt
and references are the same too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ..compiler.diff import Change
from ..schema.errors import InputError
from .diff_operands import open_operand
from .difference import difference
from .paired_bootstrap import CONFIDENCE, RESAMPLES, paired_interval
from .predictions import ScoredRow, Side, evaluator_and_side, is_right, right_scores
from .run_lookup import Run

_ByEvaluator = Mapping[str, Mapping[str, float]]

TRAINING = ""
"""Stands for training, among the evaluators that metrics are of."""


@dataclass(frozen=True)
class Model:
    """A model of a comparison: what a run trained, or its base alone."""

    label: str
    run: Run
    side: Side

    def metrics(self) -> dict[str, dict[str, float]]:
        """Return metrics by evaluator; those of training are under `TRAINING`."""
        found: dict[str, dict[str, float]] = {}
        for step in self.run.record.steps:
            facts: Any = step.result.facts.get("metrics")
            if step.kind == "evaluator" and evaluator_and_side(step.name)[1] == self.side:
                found[evaluator_and_side(step.name)[0]] = dict(facts or {})
            elif step.kind == "runtime" and self.side == "adapter":
                found[TRAINING] = dict(facts or {})
        return found

    def rows(self, evaluator: str) -> list[ScoredRow]:
        """Return the answers of an evaluator, which has evaluated this model."""
        return self.run.scored_rows(f"evaluate/{evaluator}/{self.side}")


@dataclass(frozen=True)
class MetricDifference:
    """A metric of two models.

    Attributes:
        name: the metric, with its evaluator where there are several.
        before: its value for the first model, over all of that model's rows.
        after: the same for the second.
        difference: second less first; over the shared rows where the metric is a mean over rows.
        interval: the confidence interval of the difference, where the metric is such a mean.
        rows: how many rows the difference is over; None where it is not over rows.
    """

    name: str
    before: float | None
    after: float | None
    difference: float | None
    interval: tuple[float, float] | None = None
    rows: int | None = None


@dataclass(frozen=True)
class ChangedRow:
    """A row that only one of two models has right."""

    evaluator: str
    id: str
    to: Literal["right", "wrong"]
    prompt: str
    references: list[str]
    before: str
    after: str


@dataclass(frozen=True)
class Matched:
    """The rows of one evaluator: how many are shared, of one model only, or other rows by text."""

    evaluator: str
    shared: int
    only_before: int
    only_after: int
    altered: int


@dataclass(frozen=True)
class Pair:
    """Two models side by side.

    Attributes:
        before: the label of the first.
        after: the label of the second.
        metrics: each metric that one of them has.
        matched: how many rows were compared, by evaluator.
        changed: rows that only one of them has right.
        recipe: the values that differ between the recipes; None where they cannot be compared.
        note: why the recipes cannot be compared.
    """

    before: str
    after: str
    metrics: list[MetricDifference]
    matched: list[Matched]
    changed: list[ChangedRow]
    recipe: list[Change] | None
    note: str | None = None


@dataclass(frozen=True)
class Comparison:
    """All models with their metrics, and the pairs that were compared."""

    models: list[Model]
    metrics: dict[str, list[float | None]]
    pairs: list[Pair]
    confidence: float


def compare(
    runs: Sequence[Run],
    labels: Sequence[str] | None = None,
    *,
    evaluator: str | None = None,
    with_base: bool = False,
    score: str | None = None,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    allow_local_plugins: bool = False,
) -> Comparison:
    """Compare runs with the first of them; a single run with its own base.

    Args:
        runs: finished runs with evaluations.
        labels: short names of theirs; left out, their full names.
        evaluator: only metrics and rows of this one.
        with_base: show the metrics of the first run's base beside those of several runs.
        score: the score that says which rows are right; left out, chosen for each evaluator.
        confidence: of the intervals, between 0 and 1.
        resamples: how often the rows are drawn for an interval.
        allow_local_plugins: run plugin files that the runs contain, to compare their recipes.

    Raises:
        InputError: a run has no evaluation, or not this one; or a number is out of its range.
        StoreError: the store does not have predictions or rows any more.
    """
    _check(runs, evaluator, confidence, resamples)
    names = list(labels or [run.name for run in runs])
    models = [Model(name, run, "adapter") for name, run in zip(names, runs, strict=True)]
    if len(runs) == 1:
        models = [Model("base", runs[0], "base"), Model("adapter", runs[0], "adapter")]
    compared = [(models[0], model) for model in models[1:]]
    if with_base and len(runs) > 1:
        models = [Model("base", runs[0], "base"), *models]
    found = {id(model): _only(model.metrics(), evaluator) for model in models}
    evaluators = {name for metrics in found.values() for name in metrics} - {TRAINING}
    title = _Title(len(evaluators) > 1)
    chosen = _Chosen(title, score, confidence, resamples, allow_local_plugins)
    table: dict[str, list[float | None]] = {}
    for key in dict.fromkeys(
        (one, name) for model in models for one, m in found[id(model)].items() for name in m
    ):
        values = [found[id(model)].get(key[0], {}).get(key[1]) for model in models]
        table[title(*key)] = values
    pairs = [chosen.pair(a, b, found[id(a)], found[id(b)]) for a, b in compared]
    return Comparison(models, table, pairs, confidence)


def _check(runs: Sequence[Run], evaluator: str | None, confidence: float, resamples: int) -> None:
    if not 0 < confidence < 1:
        raise InputError(f"a confidence between 0 and 1 was expected, got {confidence:g}")
    if not 99 <= resamples <= 10**6:
        raise InputError(f"99 to 1,000,000 resamples were expected, got {resamples}")
    for run in runs:
        names = {evaluator_and_side(step)[0] for step in run.evaluations}
        if not names or (evaluator is not None and evaluator not in names):
            asked = f"no evaluation by `{evaluator}`" if names else "no evaluation"
            hint = f"evaluators: {', '.join(sorted(names))}" if names else "add `evaluate:`"
            raise InputError(f"run {run.name} has {asked}", hint=hint)


def _only(
    metrics: dict[str, dict[str, float]], evaluator: str | None
) -> dict[str, dict[str, float]]:
    if evaluator is None:
        return metrics
    return {name: values for name, values in metrics.items() if name == evaluator}


@dataclass(frozen=True)
class _Title:
    """Names of metrics: with their evaluator where there are several."""

    qualified: bool

    def __call__(self, evaluator: str, metric: str) -> str:
        return f"{evaluator}.{metric}" if self.qualified and evaluator else metric


@dataclass(frozen=True)
class _Chosen:
    """How pairs are compared."""

    title: _Title
    score: str | None
    confidence: float
    resamples: int
    allow_local_plugins: bool

    def pair(self, before: Model, after: Model, one: _ByEvaluator, other: _ByEvaluator) -> Pair:
        metrics: list[MetricDifference] = []
        matched: list[Matched] = []
        changed: list[ChangedRow] = []
        for evaluator in dict.fromkeys([*one, *other]):
            sides: tuple[list[ScoredRow], list[ScoredRow]] = [], []
            if evaluator != TRAINING and evaluator in one and evaluator in other:
                sides = before.rows(evaluator), after.rows(evaluator)
            rows, counted = _shared(evaluator, *sides)
            if evaluator != TRAINING:
                matched.append(counted)
                changed += _changed(evaluator, rows, self.score)
            values = _metrics(one.get(evaluator, {}), sides[0])
            others = _metrics(other.get(evaluator, {}), sides[1])
            metrics += self._differences(evaluator, values, others, rows)
        recipe, note = self._recipes(before, after)
        return Pair(before.label, after.label, metrics, matched, changed, recipe, note)

    def _differences(
        self,
        evaluator: str,
        one: Mapping[str, _Metric],
        other: Mapping[str, _Metric],
        rows: Sequence[tuple[ScoredRow, ScoredRow]],
    ) -> Iterator[MetricDifference]:
        for name in dict.fromkeys([*one, *other]):
            title = self.title(evaluator, name)
            a, b = one.get(name), other.get(name)
            if a is None or b is None:
                values = (a.value if a else None, b.value if b else None)
                yield MetricDifference(title, values[0], values[1], None)
            elif a.is_mean and b.is_mean:
                scores = [
                    (x[name], y[name])
                    for x, y in ((a.metrics(), b.metrics()) for a, b in rows)
                    if name in x and name in y
                ]
                yield self._paired(title, a.value, b.value, scores)
            else:
                yield MetricDifference(title, a.value, b.value, b.value - a.value)

    def _paired(
        self, title: str, one: float, other: float, scores: Sequence[tuple[float, float]]
    ) -> MetricDifference:
        if not scores:
            return MetricDifference(title, one, other, None, rows=0)
        before, after = zip(*scores, strict=True)
        mean = math.fsum(b - a for a, b in scores) / len(scores)
        interval = paired_interval(before, after, self.confidence, self.resamples)
        return MetricDifference(title, one, other, mean, interval, len(scores))

    def _recipes(self, before: Model, after: Model) -> tuple[list[Change] | None, str | None]:
        if before.run.folder == after.run.folder:
            return [], None
        try:
            one, other = (
                open_operand(
                    str(model.run.folder),
                    store=model.run.store.root,
                    allow_local_plugins=self.allow_local_plugins,
                )
                for model in (before, after)
            )
        except InputError as error:
            return None, f"the recipes cannot be compared: {error.message}"
        return difference(one, other).changes, None


@dataclass(frozen=True)
class _Metric:
    """A metric; `is_mean` where it is the mean of a score of the same name over rows."""

    value: float
    is_mean: bool


def _metrics(metrics: Mapping[str, float], rows: Sequence[ScoredRow]) -> dict[str, _Metric]:
    """Return metrics, marked where the rows that have a score of that name give them."""
    given: dict[str, list[float]] = {}
    for row in rows:
        for name, value in row.metrics().items():
            given.setdefault(name, []).append(value)
    found = {}
    for name, value in metrics.items():
        scores = given.get(name, [])
        mean = math.fsum(scores) / len(scores) if scores else math.nan
        near = math.isclose(mean, value, rel_tol=1e-9, abs_tol=1e-12)
        found[name] = _Metric(value, near)
    return found


def _shared(
    evaluator: str, before: Sequence[ScoredRow], after: Sequence[ScoredRow]
) -> tuple[list[tuple[ScoredRow, ScoredRow]], Matched]:
    """Return the rows that both models answered, in the order of the first, and counts."""
    others = {row.id: row for row in after}
    pairs = [(row, others[row.id]) for row in before if row.id in others]
    same = [(a, b) for a, b in pairs if (a.prompt, a.references) == (b.prompt, b.references)]
    counts = Matched(
        evaluator,
        shared=len(same),
        only_before=len(before) - len(pairs),
        only_after=len(after) - len(pairs),
        altered=len(pairs) - len(same),
    )
    return same, counts


def _changed(
    evaluator: str, rows: Sequence[tuple[ScoredRow, ScoredRow]], score: str | None
) -> Iterator[ChangedRow]:
    """Yield rows that became right or wrong; none where no score says which are."""
    try:
        names = right_scores([row for pair in rows for row in pair], score)
    except InputError:
        if score is not None and rows:
            raise
        return
    for a, b in rows:
        if is_right(a, names) != is_right(b, names):
            to: Literal["right", "wrong"] = "right" if is_right(b, names) else "wrong"
            texts = (a.prompt, a.references, a.prediction, b.prediction)
            yield ChangedRow(evaluator, a.id, to, *texts)
