"""Compare the parts of adapters and states that must be equal on any hardware."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ...schema.training_states import State, States
from ..adapter_files import CONFIG, WEIGHTS
from ..audit.documents import first_difference

Parted = tuple[str, Any, Any]
"""The first place where two things differ, the claimed value and the derived one."""


def adapters_part(claimed: Path, derived: Path) -> Parted | None:
    """Return the first difference of two adapters in config, and in names and shapes of tensors.

    Only peft's own version is left out.
    """
    from safetensors import safe_open

    values = []
    for folder in (claimed, derived):
        config = json.loads((folder / CONFIG).read_bytes())
        config.pop("peft_version", None)
        with safe_open(folder / WEIGHTS, "pt") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            tensors = {n: [s.get_dtype(), list(s.get_shape())] for n, s in slices.items()}
        values.append({"config": config, "tensor": tensors})
    return first_difference(values[0], values[1])


def states_part(claimed: States, derived: States) -> Parted | None:
    """Return the first difference of the states between two trainings' segments."""
    sides = [{_place(at): _described(at) for at in states.bounds} for states in (claimed, derived)]
    return first_difference(sides[0], sides[1])


def state_parts(claimed: State, derived: State) -> Parted | None:
    """Return the first difference of two states after one step."""
    sides = [{_place(claimed): _described(state)} for state in (claimed, derived)]
    return first_difference(sides[0], sides[1])


def _place(state: State) -> str:
    return f"after step {state.step}"


def _described(state: State) -> dict[str, Any]:
    """Return dtypes and shapes by name."""
    return {
        group: {name: [dtype, shape] for name, (dtype, shape, _) in tensors.items()}
        for group, tensors in state.tensors.items()
    }
