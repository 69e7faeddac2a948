"""The figures of a step, recomputed from its hashed artifacts without executing anything.

Counts, drops by reason, tokens, losses and scores are facts that a step reports. Each that follows
from an artifact (a table, a training trace, predictions) is recomputed here; the others are named
as claimed.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ...plugins.registry import Registry
from ...schema.audit import Finding
from ...schema.errors import KhichdiError
from ...schema.record import RecordedStep
from ..store.runs import metrics
from .audited_run import MADE, Claim, committed
from .claimed_tables import input_table, inputs_of, output_table, output_values, settings_of
from .documents import first_difference
from .level import Level

if TYPE_CHECKING:
    import pyarrow as pa

Figures = dict[str, Any]
"""Recomputed figures by their dotted path in a step's facts, such as `train.tokens`."""

OPTIONAL = ("sources", "asked", "tasks")
"""Figures that results of earlier versions do not have."""

Recompute = Callable[[Claim, RecordedStep, Any], Mapping[str, float]]
"""Recomputes metrics from a trace or from predictions; passed in by a caller that loads them."""


class OutputError(ValueError):
    """The plugin of a step cannot read the step's own output."""


def nothing_recomputed(*_: Any) -> Mapping[str, float]:
    """Recompute no metric."""
    return {}


def by_plugins(registry: Registry, against_rows: bool = True) -> Recompute:
    """Return a function that asks the installed plugin which metrics follow from its output.

    Predictions are held to their rows first, unless `against_rows` is false.
    """

    def recompute(claim: Claim, step: RecordedStep, output: Any) -> Mapping[str, float]:
        planned = [one for one in claim.plan.steps if one.name == step.name] if claim.plan else []
        try:
            found = registry.get(step.kind, step.plugin).plugin
            if not planned or found.version != step.version:
                return {}
            plugin = registry.create(step.kind, step.plugin, planned[0].plugin.params)
        except (KhichdiError, ValueError):
            return {}  # not installed here
        try:
            if step.kind == "evaluator" and against_rows:
                _check_predictions(plugin, output, input_table(claim, step, "rows"))
            return dict(plugin.metrics_of(output))
        except OutputError:
            raise
        except Exception as error:  # a plugin may raise anything on an output that it did not write
            raise OutputError(f"{type(error).__name__}: {error}") from None

    return recompute


def _check_predictions(plugin: Any, predictions: Any, rows: pa.Table | None) -> None:
    """Hold predictions to the rows that they are of: each of one row, scored by its references."""
    if rows is None:
        return
    known = Counter(rows.column("id").to_pylist())
    predicted = Counter(prediction["id"] for prediction in predictions)
    for row in predicted - known:
        raise OutputError(f"a prediction of row {row}, which is not among the validation rows")
    scored = plugin.scores_of(predictions, rows)
    for prediction, derived in zip(predictions, scored, strict=True):
        found = first_difference(prediction, derived)
        if found is not None:
            at, claimed, made = found
            raise OutputError(
                f"prediction of row {prediction['id']}, {at}: it says {claimed}, its references "
                f"give {made}"
            )


def check_figures(
    claim: Claim, level: Level, step: RecordedStep, recompute: Recompute = nothing_recomputed
) -> None:
    """Compare a step's facts with those that its artifacts give; name the others as claimed."""
    facts = step.result.facts
    derived: Figures = {}
    try:
        derived = recomputed(claim, step, recompute)
    except OutputError as error:
        at = "metrics that follow from its output"
        level.compare(Finding(step=step.name, at=at, claimed="recorded", derived=str(error)))
    except ModuleNotFoundError:
        pass
    except Exception as error:  # tables and values of others may lack anything
        level.contradict(unlike(step, error))
    for path, value in derived.items():
        found = _at(facts, path)
        if found is not None or path not in OPTIONAL:
            made = found if _near(found, value) else value
            level.compare(Finding(step=step.name, at=path, claimed=found, derived=made))
    kept = committed(claim, step) if "metrics.best_step" in derived else None
    if kept is not None:
        at, best = "training step of the adapter", derived["metrics.best_step"]
        step_kept = float(kept[1].adapter_step)
        level.compare(Finding(step=step.name, at=at, claimed=step_kept, derived=best))
    level.claimed += [f"{step.name} {path}" for path in _claimed(facts, derived)]


def claimed_metrics(claim: Claim, recompute: Recompute) -> tuple[str, ...]:
    """Return the names of the record's metrics that no trace or predictions here give."""
    flagged = metrics([_flagged(claim, step, recompute) for step in claim.record.steps])
    return tuple(name for name, derived in flagged.items() if not derived)


def _flagged(claim: Claim, step: RecordedStep, recompute: Recompute) -> RecordedStep:
    """Return a step with 1 for each metric that follows from its output, and 0 for the others."""
    values: Any = step.result.facts.get("metrics")
    if step.kind not in ("runtime", "evaluator") or not isinstance(values, dict):
        return step
    try:
        derived = recomputed(claim, step, recompute)
    except Exception:  # an output that cannot be read; an audit says so
        derived = {}
    flags = {name: float(f"metrics.{name}" in derived) for name in values}
    result = step.result.model_copy(update={"facts": {"metrics": flags}})
    return step.model_copy(update={"result": result})


def _claimed(facts: Any, derived: Figures) -> Iterator[str]:
    for path in _leaves(facts):
        if not any(path == known or path.startswith(f"{known}.") for known in derived):
            yield path


def unlike(step: RecordedStep, error: Exception) -> Finding:
    """Return the finding that an artifact, whole as it is, is none that its step can make."""
    derived = f"{type(error).__name__}: {error}"
    return Finding(step=step.name, at="shape of its artifacts", claimed="its own", derived=derived)


def main_output(step: RecordedStep) -> str:
    """Return the output whose level a step's figures belong to."""
    return "trace" if step.kind == "runtime" else next(iter(MADE.get(step.kind, {"": ""})))


def recomputed(claim: Claim, step: RecordedStep, recompute: Recompute) -> Figures:
    """Return the facts of a step that follow from artifacts which are here."""
    ways = {
        "source": _files,
        "exporter": _files,
        "reader": _filtered,
        "filter": _filtered,
        "sampler": _filtered,
        "scorer": _scored,
        "mixture": _mixed,
        "split": _split,
        "pack": _packed,
    }
    if step.kind in ways:
        return ways[step.kind](claim, step)
    output = {"runtime": "trace", "evaluator": "predictions"}.get(step.kind, "")
    values = output_values(claim, step, output)
    if values is None:
        return {}
    found = {f"metrics.{n}": value for n, value in recompute(claim, step, values).items()}
    if step.kind == "evaluator":
        found["rows_in"] = len(values)
    return found


# ---- by kind --------------------------------------------------------------------------------


def _files(claim: Claim, step: RecordedStep) -> Figures:
    sizes = [f.size for one in step.result.outputs.values() for f in one.files.values()]
    return {"files": len(sizes), "bytes": sum(sizes)}


def _filtered(claim: Claim, step: RecordedStep) -> Figures:
    rows, drops = output_table(claim, step, "rows"), output_table(claim, step, "drops")
    if rows is None or drops is None:
        return {}
    reasons = Counter(drops.column("reason").to_pylist())
    found: Figures = {"rows_out": rows.num_rows, "drops": dict(sorted(reasons.items()))}
    before = input_table(claim, step, "rows")
    found["rows_in"] = rows.num_rows + drops.num_rows if before is None else before.num_rows
    return found


def _scored(claim: Claim, step: RecordedStep) -> Figures:
    rows = output_table(claim, step, "rows")
    if rows is None:
        return {}
    from ..steps.rows import mean_by_task

    scored = rows.num_rows - rows.column("score").null_count
    return {
        "rows_in": rows.num_rows,
        "rows_out": rows.num_rows,
        "scored": scored,
        "tasks": mean_by_task(rows),
    }


def _mixed(claim: Claim, step: RecordedStep) -> Figures:
    rows = output_table(claim, step, "rows")
    if rows is None:
        return {}
    names = inputs_of(claim, step)
    counts = Counter(rows.column("source").to_pylist())
    sources = {name: counts[name] for name in sorted(names.keys() | counts.keys())}
    return {"rows_in": rows.num_rows, "rows_out": rows.num_rows, "sources": sources}


def _split(claim: Claim, step: RecordedStep) -> Figures:
    train, held = (output_table(claim, step, name) for name in ("train", "validation"))
    if train is None or held is None:
        return {}
    kept, out = (Counter(table.column("source").to_pylist()) for table in (train, held))
    found: Figures = {
        "rows_in": train.num_rows + held.num_rows,
        "rows_out": train.num_rows,
        "held_out": held.num_rows,
        "sources": {
            name: {"train": kept[name], "held_out": out[name]} for name in sorted(kept | out)
        },
    }
    wanted: Any = settings_of(claim, step).get("validation")
    if wanted:
        share = wanted.get("fraction") or 0
        found["asked"] = int(wanted.get("count") or math.ceil(share * found["rows_in"]))
    return found


def _packed(claim: Claim, step: RecordedStep) -> Figures:
    import pyarrow.compute as pc

    found: Figures = {}
    size = int(str(settings_of(claim, step).get("sequence_len", 0)))
    for name in ("train", "validation"):
        packs = output_table(claim, step, name)
        if packs is None:
            continue
        tokens = pc.sum(pc.list_value_length(packs.column("input_ids"))).as_py() or 0
        labels = pc.list_flatten(packs.column("labels"))
        found[f"{name}.packs"] = packs.num_rows
        found[f"{name}.tokens"] = tokens
        found[f"{name}.response_tokens"] = pc.sum(pc.not_equal(labels, -100)).as_py() or 0
        capacity = packs.num_rows * size
        found[f"{name}.fill"] = round(tokens / capacity, 6) if capacity else 0.0
        rows = input_table(claim, step, name)
        if rows is not None:
            found[f"{name}.rows"] = rows.num_rows
    drops = output_table(claim, step, "drops")
    if drops is not None:
        counted = Counter(drops.column("reason").to_pylist())
        found["drops"] = dict(sorted(counted.items()))
        if {"train.rows", "validation.rows"} <= found.keys():
            found["rows_in"] = found["train.rows"] + found["validation.rows"]
            found["rows_out"] = found["rows_in"] - counted.total() + counted["truncated"]
    return found


# ---- facts ---------------------------------------------------------------------------------------


def _at(facts: Any, path: str) -> Any:
    """Return the value at a dotted path; names, such as those of metrics, may have dots too."""
    if not isinstance(facts, dict) or path in facts:
        return facts.get(path) if isinstance(facts, dict) else None
    below = ((facts[key], path.removeprefix(f"{key}.")) for key in facts)
    found = (_at(value, rest) for value, rest in below if rest != path)
    return next((value for value in found if value is not None), None)


def _leaves(value: Any, path: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _leaves(item, f"{path}.{name}".lstrip("."))
    else:
        yield path


def _near(claimed: Any, derived: Any) -> bool:
    """Return whether two figures agree; a mean may be summed in another order elsewhere."""
    if isinstance(claimed, dict) and isinstance(derived, dict):
        return claimed.keys() == derived.keys() and all(
            _near(claimed[n], derived[n]) for n in claimed
        )
    numbers = isinstance(claimed, int | float) and isinstance(derived, int | float)
    if numbers and (isinstance(claimed, float) or isinstance(derived, float)):
        return math.isclose(claimed, derived, rel_tol=1e-12)
    return bool(claimed == derived)
