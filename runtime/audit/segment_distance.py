"""How far a segment that was executed again is from what a training claims of it.

On other hardware its bits are others; a calibration bounds the distance of honest ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pydantic import JsonValue

from ...plugins.kinds import ReplayedSegment
from ...schema.audit import LARGEST
from ...schema.training_states import States

if TYPE_CHECKING:
    import torch

TRAINED = "adapter"
"""The groups of a state that hold trained weights."""


class Errors(NamedTuple):
    """Distances of a segment from the claim; see `SegmentVerdict`, which has the same names."""

    error: float | None
    state_error: float | None


UNKNOWN = Errors(None, None)


def errors(states: States, files: Path, number: int, given: ReplayedSegment) -> Errors:
    """Return the distance of a replayed segment from the claimed one.

    Args:
        states: what the training is committed to.
        files: where the files of its states are.
        number: the segment, from 1.
        given: what it gave here.
    """
    start, end = (states.bounds[at] if at >= 0 else None for at in (number - 2, number - 1))
    if given.folder is None or end is None or not end.kept:
        return UNKNOWN
    learnt, others = LARGEST, numbers_error(end.numbers, given.state.numbers)
    for group in end.tensors:
        name = f"{group}.safetensors"
        claimed, made = files / end.folder / name, given.folder / name
        if not made.is_file():
            return UNKNOWN
        if group == TRAINED:
            learnt = relative_error(files / start.folder / name if start else None, claimed, made)
        else:
            others = max(others, worst_error(claimed, made))
    return Errors(learnt, others)


def relative_error(start: Path | None, claimed: Path, derived: Path) -> float:
    """Return |derived - claimed| / |claimed - start| over all tensors of safetensors files.

    Without a start it is |derived - claimed| / |claimed|. It is `LARGEST` where nothing is said to
    have been learnt and something was, or the tensors are not the same ones.
    """
    apart = moved = 0.0
    files = [claimed, derived, *([start] if start else [])]
    for kept, made, *before in _side_by_side(files):
        if any(tensor.shape != kept.shape for tensor in (made, *before)):
            return LARGEST
        apart += float((made - kept).square().sum())
        moved += float((kept - before[0] if before else kept).square().sum())
    return _share(apart**0.5, moved**0.5)


def worst_error(claimed: Path, derived: Path) -> float:
    """Return the largest |derived - claimed| / |claimed| of a tensor of safetensors files.

    It is `LARGEST` where the tensors are not the same ones, or one is said to be all zeros and is
    not.
    """
    worst = 0.0
    for kept, made in _side_by_side([claimed, derived]):
        if made.shape != kept.shape:
            return LARGEST
        worst = max(worst, _share(float((made - kept).norm()), float(kept.norm())))
    return worst


def numbers_error(claimed: JsonValue, derived: JsonValue) -> float:
    """Return the largest |derived - claimed| / |claimed| of a state's floats; all else is exact."""
    if claimed == derived:
        return 0.0
    pairs: list[tuple[JsonValue, JsonValue]] = []
    if isinstance(claimed, float) and isinstance(derived, float):
        return _share(abs(derived - claimed), abs(claimed))
    if isinstance(claimed, dict) and isinstance(derived, dict) and claimed.keys() == derived.keys():
        pairs = [(claimed[name], derived[name]) for name in claimed]
    if isinstance(claimed, list) and isinstance(derived, list) and len(claimed) == len(derived):
        pairs = list(zip(claimed, derived, strict=True))
    return max((numbers_error(one, other) for one, other in pairs), default=LARGEST)


def _side_by_side(files: list[Path]) -> Iterator[list[torch.Tensor]]:
    """Yield each tensor of safetensors files, one at a time, from all of them, in float64.

    A tensor that one of them lacks is given as one of another shape.
    """
    import torch
    from safetensors import safe_open

    with ExitStack() as stack:
        opened = [stack.enter_context(safe_open(path, "pt")) for path in files]
        names = [set(one.keys()) for one in opened]
        for name in sorted(set().union(*names)):
            yield [
                one.get_tensor(name).double() if name in known else torch.empty(0, 0)
                for one, known in zip(opened, names, strict=True)
            ]


def _share(part: float, whole: float) -> float:
    """Return part / whole, `LARGEST` where that is not a number."""
    if part == 0:
        return 0.0
    return part / whole if whole and isfinite(part / whole) else LARGEST
