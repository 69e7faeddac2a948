"""Hash and save the states at the ends of a training's segments.

`<work>/states/step-00000012/` has the tensors of a state, but for the last one's, and `state.json`
with their digests. It is written under another name, synced and renamed. Only one state
is in memory at a time.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from khichdi.schema.digest import described_safetensors, described_tensors
from khichdi.schema.errors import InputError
from khichdi.schema.training_states import IN_TRACE, State

from ..checkpoint import sync

if TYPE_CHECKING:
    import torch

STATES = "states"
STATE = "state.json"


def ends(steps: int, segments: int) -> frozenset[int]:
    """Return the last step of each of so many segments of like length, or of one per step."""
    return frozenset(-(-steps * number // segments) for number in range(1, segments + 1))


def keep(
    work: Path, step: int, groups: Mapping[str, dict[str, torch.Tensor]],
    numbers: dict[str, Any], *, files: bool,
) -> State:  # fmt: skip
    """Write a state below the work folder, in place of one of the same step, and return it."""
    from safetensors.torch import save_file

    from khichdi.plugins.toolkit.tensors import described

    state = State(
        step=step,
        tensors={group: described_tensors(described(some)) for group, some in groups.items()},
        numbers=numbers,
        kept=files,
    )
    final = work / STATES / state.folder
    partial = work / STATES / f"partial-{os.getpid()}-{step}"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for group, tensors in groups.items() if files else ():
        save_file(tensors, partial / f"{group}.safetensors")
    (partial / STATE).write_text(state.model_dump_json(), encoding="utf-8")
    for path in [*partial.iterdir(), partial]:
        sync(path)
    shutil.rmtree(final, ignore_errors=True)
    partial.rename(final)
    sync(final.parent)
    return state


def kept(work: Path, trace: Sequence[Mapping[str, Any]]) -> list[State] | None:
    """Return the states that a trace is committed to; None where one is not as it was written."""
    found = []
    for entry in trace:
        if IN_TRACE not in entry:
            continue
        state = _read(work / STATES / f"step-{entry['step']:08d}")
        if state is None or state.digest() != entry[IN_TRACE]:
            return None
        found.append(state)
    return found


def clear(work: Path) -> None:
    """Remove all states."""
    shutil.rmtree(work / STATES, ignore_errors=True)


def _read(folder: Path) -> State | None:
    try:
        state = State.from_json((folder / STATE).read_bytes(), STATE)
        for group, told in state.tensors.items() if state.kept else ():
            if described_safetensors(folder / f"{group}.safetensors") != told:
                return None
    except (OSError, InputError, ValueError, KeyError, TypeError):
        return None
    return state
