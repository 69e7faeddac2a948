"""Derive limits from samples, by a rule that readers of a calibration can apply again.

For each figure: H is the largest among honest reruns, never below what one count of it is worth.
A kind of control is separated where the smallest figure among its controls is at least `GAP` times
H. With C the smallest among the kinds that are separated, the limit is sqrt(H C), the middle
between the two on a logarithmic scale: at least three times H, and a third of C at most. A figure
that separates no kind is not used.

Scores (t6) are different: somebody else's adapter may well have an equal score, and equivalence is
a matter of how large a difference matters. Their limit is `MARGIN`, or twice H where reruns differ
by more; above `WIDEST` a score is not used, because its rows are too few to prove anything.

The envelope of the loss curve is `SIGMAS` times the root mean square of the reruns' differences at
the step, or at any step before it: a drift does not undo itself. A
rerun is held against the envelope of the other reruns, a control against that of all.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from ...schema.audit import LARGEST
from ...schema.calibration import FORGERIES, RERUN, Calibrated, Criterion, Rejected, Sample
from .statistics import ADAPTER, STEPS, outside

GAP = 9.0
SIGMAS = 4.0
MARGIN = 0.01
WIDEST = 0.2
FLOOR = 1e-6
"""The resolution of float32 losses and weights."""


def derive(samples: Sequence[Sample], answers: int) -> Calibrated:
    """Return envelope, limits and how the controls fare; `answers` is the probes' tokens."""
    reruns = [sample for sample in samples if sample.kind == RERUN]
    envelope = envelope_of([sample.curve for sample in reruns])
    measured = [(sample, figures(sample, reruns, envelope)) for sample in samples]
    names = dict.fromkeys(name for _, found in measured for name in found)
    steps = max(1, len(envelope))
    floors = {"t3.outside": 0.5 / steps, "t5.argmax": 0.5 / max(1, answers)}
    criteria = tuple(_criterion(name, measured, floors.get(name, FLOOR)) for name in sorted(names))
    limits = {one.name: one.limit for one in criteria if one.limit is not None}
    rejected = {
        kind: _rejected([found for sample, found in measured if sample.kind == kind], limits)
        for kind in FORGERIES
        if any(sample.kind == kind for sample in samples)
    }
    return Calibrated(envelope=envelope, criteria=criteria, rejected=rejected)


def envelope_of(curves: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """Return, for each step, what the difference of a rerun's loss may be."""
    found: list[float] = []
    widest = FLOOR
    for values in zip(*curves, strict=False):
        spread = math.sqrt(math.fsum(value * value for value in values) / len(values))
        widest = max(widest, SIGMAS * spread)
        found.append(float(f"{widest:.6g}"))
    return tuple(found)


def figures(
    sample: Sample, reruns: Iterable[Sample], envelope: Sequence[float]
) -> dict[str, float]:
    """Return a sample's figures with `t3.outside`; a rerun is held against the other reruns."""
    others = [rerun.curve for rerun in reruns if rerun is not sample]
    if sample.kind == RERUN and others:
        envelope = envelope_of(others)
    return {**sample.values, "t3.outside": outside(sample.curve, envelope)}


def level_of(name: str) -> str:
    """Return the audit's level that a criterion speaks for."""
    if name in STEPS:
        return "steps"
    return "adapter" if name in ADAPTER else "metrics"


def _criterion(
    name: str, measured: Sequence[tuple[Sample, dict[str, float]]], floor: float
) -> Criterion:
    honest = [found[name] for sample, found in measured if sample.kind == RERUN and name in found]
    controls = {
        kind: min(found)
        for kind in FORGERIES
        if (found := [f[name] for sample, f in measured if sample.kind == kind and name in f])
    }
    most = max(honest, default=0.0)
    floored = max(most, floor)
    separates = tuple(kind for kind, least in controls.items() if least >= GAP * floored)
    limit: float | None
    if name.startswith("t6."):
        limit = max(MARGIN, 2 * most)
        why = f"reruns differ by {most:.3g}: too few rows to prove equivalence"
        limit, why = (None, why) if limit > WIDEST else (limit, "")
    elif separates and honest:
        limit, why = math.sqrt(floored * min(controls[kind] for kind in separates)), ""
    else:
        limit, why = None, "it separates no kind of control from honest reruns"
    return Criterion(
        name=name,
        level=level_of(name),
        honest=most,
        controls=controls,
        separates=separates,
        limit=None if limit is None else float(f"{min(limit, LARGEST):.6g}"),
        why=why,
    )


def excess(sample: Sample, found: Calibrated) -> dict[str, float]:
    """Return, for a sample that is none of the calibration's, each figure in units of its limit."""
    values = {**sample.values, "t3.outside": outside(sample.curve, found.envelope)}
    return _over(values, {one.name: one.limit for one in found.criteria if one.limit is not None})


def _over(values: dict[str, float], limits: dict[str, float]) -> dict[str, float]:
    return {name: values[name] / limit for name, limit in limits.items() if name in values}


def _rejected(found: Sequence[dict[str, float]], limits: dict[str, float]) -> Rejected:
    """Return how many of a kind every limit let through, and what exceeded which limit."""
    worst = [_over(one, limits) for one in found]
    by = tuple(name for name in limits if all(name in one and one[name] > 1 for one in worst))
    most = [max(one.values(), default=0.0) for one in worst]
    return Rejected(
        samples=len(found),
        missed=sum(not value > 1 for value in most),
        by=by,
        ratio=float(f"{min(most):.4g}"),
    )
