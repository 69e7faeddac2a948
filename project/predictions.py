"""Read the predictions of an evaluation beside their prompts, references and scores; filter them.

choose_evaluation   the evaluation step that an evaluator's name and a side mean
scored_rows         its predictions, each as a `ScoredRow`
right_score         the score that says whether a prediction is right
matching            those that are wrong, or right, or have a text
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from ..schema.did_you_mean import nearest
from ..schema.errors import InputError
from ..schema.rows import prompt_of, references_of

if TYPE_CHECKING:
    import pyarrow as pa

Side = Literal["base", "adapter"]
"""The model that was evaluated: the base alone, or with the adapter."""

KNOWN = ("id", "group", "prediction", "prompt", "references")


@dataclass(frozen=True)
class ScoredRow:
    """An answer of a model.

    Attributes:
        id: the row's id.
        prompt: the question, without a template's words.
        references: every acceptable answer.
        prediction: the model's answer.
        scores: numbers by name.
        group: the task that it is of, where the evaluator has several; else empty.
        details: whatever else the evaluator recorded.
    """

    id: str
    prompt: str
    references: list[str]
    prediction: str
    scores: dict[str, float]
    group: str = ""
    details: dict[str, Any] = field(default_factory=dict)

    def metrics(self) -> dict[str, float]:
        """Return its scores by the names of the metrics that are their means."""
        return {metric_name(self.group, name): value for name, value in self.scores.items()}


def metric_name(group: str, score: str) -> str:
    """Return the name of the metric that is the mean of a score over a group's rows."""
    return f"{group}.{score}" if group else score


def evaluator_and_side(step: str) -> tuple[str, Side]:
    """Return the evaluator's name and the model of an evaluation step, by the step's name."""
    name, _, side = step.removeprefix("evaluate/").rpartition("/")
    return name, "base" if side == "base" else "adapter"


def choose_evaluation(
    steps: Sequence[str], run: str, evaluator: str | None = None, side: Side = "adapter"
) -> str:
    """Return the name of an evaluation step; without an evaluator, the first of that side.

    Args:
        steps: the run's evaluation steps.
        run: the run's name, for errors.
        evaluator: an evaluator's name, such as `generate`, or the name of an evaluation step.
        side: the base alone, or the trained model.

    Raises:
        InputError: the run has no such evaluation; the hint lists those that it has.
    """
    if evaluator in steps:
        return str(evaluator)
    found = [step for step in steps if evaluator_and_side(step)[1] == side]
    if evaluator is not None:
        found = [step for step in found if evaluator_and_side(step)[0] == evaluator]
    if found:
        return found[0]
    names = list(dict.fromkeys(evaluator_and_side(step)[0] for step in steps))
    near = nearest(evaluator or "", names)
    hint = f"did you mean `{near}`?" if near else f"evaluators: {', '.join(names)}"
    if not names:
        hint = "add `evaluate:` to the recipe, and run it again: only the evaluation is executed"
    asked = f"no evaluation by `{evaluator}`" if evaluator else "no evaluation"
    raise InputError(f"run {run} has {asked}", hint=hint)


def scored_rows(
    predictions: Sequence[Mapping[str, Any]], validation: Callable[[], pa.Table]
) -> list[ScoredRow]:
    """Return predictions with their rows; the validation rows are only read where they are needed.

    Args:
        predictions: as an evaluator wrote them.
        validation: returns the run's validation rows.
    """
    rows: Mapping[str, Mapping[str, Any]] = {}
    if any("prompt" not in one or "references" not in one for one in predictions):
        rows = {row["id"]: row for row in validation().to_pylist()}
    return [_scored(one, rows.get(str(one.get("id")))) for one in predictions]


def _scored(prediction: Mapping[str, Any], row: Mapping[str, Any] | None) -> ScoredRow:
    more = {name: value for name, value in prediction.items() if name not in KNOWN}
    scores = {name: float(value) for name, value in more.items() if isinstance(value, int | float)}
    prompt, references = prediction.get("prompt"), prediction.get("references")
    if prompt is None:
        prompt = prompt_of(row) if row else ""
    if references is None:
        references = references_of(row) if row else []
    return ScoredRow(
        id=str(prediction.get("id")),
        prompt=str(prompt),
        references=[str(text) for text in references],
        prediction=str(prediction.get("prediction", "")),
        scores=scores,
        group=str(prediction.get("group", "")),
        details={name: value for name, value in more.items() if name not in scores},
    )


def right_scores(rows: Sequence[ScoredRow], name: str | None = None) -> dict[str, str]:
    """Return, by group, the score by which its rows are right (1) or wrong (less).

    It is the one named; else the first, by name, that is 0 or 1 for every row of the group, else
    the first. A group without such a score is left out.

    Raises:
        InputError: no group has such a score, or none has the one named.
    """
    groups: dict[str, list[ScoredRow]] = {}
    for row in rows:
        groups.setdefault(row.group, []).append(row)
    names = sorted({score for row in rows for score in row.scores})
    known = ", ".join(names) or "none"
    if name is not None and name not in names:
        raise InputError(f"there is no score `{name}`", hint=f"scores: {known}")
    found = {group: _right_score(part, name) for group, part in groups.items()}
    chosen = {group: score for group, score in found.items() if score is not None}
    if rows and not chosen:
        what = f"`{name}` does not say" if name else "no score says"
        raise InputError(
            f"{what} which of these answers are right",
            hint=f"a score from 0 to 1 was expected; scores: {known}",
        )
    return chosen


def _right_score(rows: Sequence[ScoredRow], name: str | None) -> str | None:
    """Return the score that decides for the rows of a group; None where there is none."""

    def values(score: str) -> list[float]:
        return [row.scores[score] for row in rows if score in row.scores]

    scores = sorted({score for row in rows for score in row.scores})
    asked = [score for score in scores if name in (None, score)]
    bounded = [score for score in asked if all(0 <= value <= 1 for value in values(score))]
    clear = [score for score in bounded if all(value in (0, 1) for value in values(score))]
    return next(iter(clear or bounded), None)


def is_right(row: ScoredRow, scores: Mapping[str, str]) -> bool | None:
    """Return whether a row has the whole of its group's score; None where no score says it."""
    return row.scores.get(scores[row.group], 0.0) == 1.0 if row.group in scores else None


def matching(
    rows: Sequence[ScoredRow],
    *,
    right: bool | None = None,
    score: str | None = None,
    search: str | None = None,
) -> list[ScoredRow]:
    """Return the rows that pass, in their order.

    Args:
        rows: rows of one evaluation.
        right: only right ones, or only wrong ones; None for both.
        score: the score that decides; left out, as `right_scores` chooses it.
        search: a text in the id, prompt, references or prediction, in any case.

    Raises:
        InputError: what is right was asked for, and no score says it.
    """
    found = list(rows)
    if right is not None and rows:
        by = right_scores(rows, score)
        found = [row for row in found if is_right(row, by) is right]
    if search is not None:
        text = search.casefold()
        found = [
            row
            for row in found
            if any(
                text in part.casefold()
                for part in (row.id, row.prompt, row.prediction, *row.references)
            )
        ]
    return found
