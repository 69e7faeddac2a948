"""Measure the distance of two trainings: each statistic with its source and definition.

All are distances: 0 where nothing differs, and more where more does. `c` is the claim, `d`
what was derived here.

    t1.loss       |L_d - L_c| / L_c of the first step's loss. Nothing has added up yet, so it is the
                  sharpest test across hardware (tolerances of training frameworks' own parity
                  tests are stated for this step).
    t1.gradient   |g_d - g_c| / g_c of the first step's gradient norm.
    t2.first      the error of the training's first segment, executed again: |w_d - w_c| / |w_c|
                  over all trained tensors after it.
    t2.segment    the largest error of a later segment, executed again from the state s that the
                  claim starts it from: |w_d - w_c| / |w_c - s|. Nothing before it adds to it.
    t2.state      the largest |x_d - x_c| / |x_c| of any other tensor or number x of the state that
                  a segment ends in: a moment of the optimizer steers the next updates.
    t3.outside    the share of steps whose loss difference is outside the envelope of honest reruns
                  (see `thresholds.py`); differences are (L_d - L_c) / mean L_c.
    t3.area       |mean over steps of those differences|: the signed area between the two curves.
    t3.held_out   the largest |E_d - E_c| / E_c of the losses on held-out rows, in the trace and in
                  the numbers of the record.
    t4.*          the updates dW = s B A, see `lowrank.py`.
    t5.*          the answers to frozen samples, see `probes.py`.
    t6.NAME       the larger end of the 90 % interval of the mean paired difference of a score: two
                  scores are equivalent within m if it is below m, which is the two one-sided
                  tests procedure at 5 % (Schuirmann, J. Pharmacokinet. Biopharm. 15, 1987).

What a trace says beside losses (batches, tokens, rates) follows from the recipe and the packs on
any hardware; there is no tolerance for it. T0 is that every level below is identical.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import NormalDist
from typing import Any

from ...schema.training_states import IN_TRACE
from ..audit.segment_distance import Errors
from .trained_model import Rows, TrainedModel

FIRST = ("t1.loss", "t1.gradient")
SEGMENTS = ("t2.first", "t2.segment", "t2.state")
STEPS = (*FIRST, *SEGMENTS, "t3.outside", "t3.area", "t3.held_out")
ADAPTER = ("t4.direction", "t4.module", "t4.norm", "t4.subspace", "t5.kl", "t5.argmax")
TOLD = ("loss", "grad_norm", "eval_loss", IN_TRACE)
"""Keys of a trace computed in floating point, or digests of such values; all others are exact."""
RATE = 1e-9
"""How near learning rates are: they are calculated by Python alone, and libraries of C differ."""


def curve(claimed: TrainedModel, derived: TrainedModel) -> list[float]:
    """Return the difference of the losses at each step, in units of the mean claimed loss."""
    told = [float(entry["loss"]) for entry in claimed.trace]
    found = [float(entry["loss"]) for entry in derived.trace]
    mean = math.fsum(told) / max(1, len(told))
    return [_share(d - c, mean) for c, d in zip(told, found, strict=False)]


def measure(claimed: TrainedModel, derived: TrainedModel) -> dict[str, float]:
    """Return the figures that two traces give; `t3.outside` needs an envelope, see `outside`."""
    found = first_step(claimed.trace[0], derived.trace[0])
    differences = curve(claimed, derived)
    found["t3.area"] = abs(math.fsum(differences)) / len(differences)
    told = {e["step"]: e["eval_loss"] for e in claimed.trace if "eval_loss" in e}
    made = {e["step"]: e["eval_loss"] for e in derived.trace if "eval_loss" in e}
    pairs = [(told[step], made[step]) for step in told.keys() & made.keys()]
    names = [name for name in claimed.metrics.keys() & derived.metrics.keys() if "loss" in name]
    pairs += [(claimed.metrics[name], derived.metrics[name]) for name in names]
    if pairs:
        found["t3.held_out"] = _largest(abs(_share(other - one, one)) for one, other in pairs)
    return found


def first_step(claimed: dict[str, Any], derived: dict[str, Any]) -> dict[str, float]:
    """Return the figures of the first step's entries."""
    found = {}
    for figure, name in zip(FIRST, ("loss", "grad_norm"), strict=True):
        found[figure] = abs(_share(derived[name] - claimed[name], claimed[name]))
    return found


def of_segments(errors: Mapping[int, Errors]) -> dict[str, float]:
    """Return the figures of segments that were executed again, from their errors by number."""
    named: dict[str, list[float | None]] = {
        "t2.first": [one.error for number, one in errors.items() if number == 1],
        "t2.segment": [one.error for number, one in errors.items() if number > 1],
        "t2.state": [one.state_error for one in errors.values()],
    }
    known = {name: [one for one in found if one is not None] for name, found in named.items()}
    return {name: _largest(found) for name, found in known.items() if found}


def outside(differences: Sequence[float], envelope: Sequence[float]) -> float:
    """Return the share of steps at which a difference is larger than the envelope allows."""
    pairs = list(zip(differences, envelope, strict=False))
    return sum(not abs(found) <= allowed for found, allowed in pairs) / max(1, len(pairs))


def exact(claimed: TrainedModel, derived: TrainedModel) -> list[tuple[str, Any, Any]]:
    """Return what differs of what has to be the same on any hardware: place, claimed, derived."""
    found: list[tuple[str, Any, Any]] = []
    if len(claimed.trace) != len(derived.trace):
        found.append(("number of training steps", len(claimed.trace), len(derived.trace)))
    for one, other in zip(claimed.trace, derived.trace, strict=False):
        for name in dict.fromkeys([*one, *other]):
            a, b = one.get(name), other.get(name)
            if not _same(name, a, b):
                found.append((f"training step {other.get('step')}, {name}", a, b))
        if found:
            break
    for name in dict.fromkeys([*claimed.metrics, *derived.metrics]):
        a, b = claimed.metrics.get(name), derived.metrics.get(name)
        follows = "loss" in name or name == "best_step"  # of the losses, which are compared
        if a != b and not (follows and None not in (a, b)):
            found.append((f"fact metrics.{name}", a, b))
    return found


def _same(name: str, a: Any, b: Any) -> bool:
    if name in TOLD:
        return (a is None) == (b is None)
    if name == "learning_rate" and isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=RATE)
    return bool(a == b)


# ---- scores ---------------------------------------------------------------------------------


def scores(claimed: TrainedModel, derived: TrainedModel) -> dict[str, float]:
    """Return `t6.EVALUATION/SCORE` of each score that both have."""
    found = {}
    for name, (told, rows) in claimed.scores.items():
        numbers, others = derived.scores.get(name, ({}, []))
        for metric in sorted(told.keys() & numbers.keys()):
            pairs = _paired(metric, rows, others)
            label = f"t6.{name.removeprefix('evaluate/')}/{metric}"
            apart = abs(numbers[metric] - told[metric])  # a claim may not even be its rows' mean
            found[label] = _largest([bound(pairs), apart] if pairs else [apart])
    return found


def _paired(metric: str, rows: Rows, others: Rows) -> list[float]:
    """Return the differences of a score row by row; none where rows have no such score."""
    told = {row["id"]: row.get(metric) for row in rows}
    made = {row["id"]: row.get(metric) for row in others}
    if told.keys() != made.keys() or not told:
        return []
    if any(not isinstance(v, int | float) for v in [*told.values(), *made.values()]):
        return []
    return [float(made[name]) - float(told[name]) for name in told]  # type: ignore[arg-type]


def bound(differences: Sequence[float], level: float = 0.05) -> float:
    """Return |mean| + t s / sqrt(n): below m, both one-sided tests of equivalence within m hold."""
    count = len(differences)
    mean = math.fsum(differences) / count
    if count < 2:
        return abs(mean)
    variance = math.fsum((value - mean) ** 2 for value in differences) / (count - 1)
    return abs(mean) + student(1 - level, count - 1) * math.sqrt(variance / count)


def student(probability: float, freedom: int) -> float:
    """Return a quantile of Student's t, by its expansion in 1/freedom (Abramowitz, 26.7.5)."""
    z = NormalDist().inv_cdf(probability)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + math.fsum(term / freedom ** (i + 1) for i, term in enumerate(terms))


def wilson(events: int, trials: int, level: float = 0.95) -> tuple[float, float]:
    """Return the interval of a share by Wilson's score (J. Am. Stat. Assoc. 22, 1927)."""
    if trials == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + level) / 2)
    share, spread = events / trials, z * z / trials
    middle = share + spread / 2
    half = z * math.sqrt(share * (1 - share) / trials + spread / (4 * trials))
    low, high = ((middle - half) / (1 + spread), (middle + half) / (1 + spread))
    return max(0.0, low), min(1.0, high)


def _largest(values: Iterable[float]) -> float:
    """Return the largest; infinite where one is not a number, which `max` would pass over."""
    found = list(values)
    return max(found) if all(map(math.isfinite, found)) else math.inf


def _share(part: float, whole: float) -> float:
    if whole == 0:
        return 0.0 if part == 0 else math.copysign(math.inf, part)
    return part / whole
