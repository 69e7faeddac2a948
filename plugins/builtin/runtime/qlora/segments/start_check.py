"""Refuse a state that no training of the recipe can be in, before anything is executed from it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from ..optimizer import state_of

if TYPE_CHECKING:
    from khichdi.schema.training_states import State

    from ..trainer import Training

Tensors = Mapping[str, torch.Tensor]
Form = tuple[torch.dtype, tuple[int, ...]]


class StateForm:
    """The form of this training's states: names, types and shapes, without the values.

    The optimizer's own form is learned from a step of it with gradients of zero; the caller puts
    the weights back.
    """

    def __init__(self, training: Training) -> None:
        trainee, optimizer = training.trainee, training.optimizer
        for parameter in trainee.trained:
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        tensors, numbers = state_of(optimizer, trainee.names, trainee.trained)
        self.adapter = _forms(trainee.snapshot())
        self.optimizer: dict[str, Form | type] = {**_forms(tensors), **_types(numbers)}
        self.scale = _types(training.scale.numbers()) if training.scale is not None else {}

    def misfit(self, state: State, adapter: Tensors, optimizer: Tensors) -> str | None:
        """Return why a state cannot be one of this training; None where it can.

        Args:
            state: the state as it is claimed.
            adapter: its trained tensors.
            optimizer: the optimizer's tensors.
        """
        if _forms(adapter) != self.adapter:
            return "the adapter's tensors are others"
        numbers = state.numbers
        scale = {name: number for name, number in numbers.items() if name in self.scale}
        if _types(scale) != self.scale:
            return "the loss scale has no such numbers"
        of_optimizer = {name: number for name, number in numbers.items() if name not in self.scale}
        found: dict[str, Form | type] = {**_forms(optimizer), **_types(of_optimizer)}
        return self._entries(found) or _out_of_range(numbers, state.step)

    def _entries(self, found: Mapping[str, Form | type]) -> str | None:
        """Compare the optimizer's entries of each parameter that has any.

        One that never had a gradient, such as an expert that no token was routed to, has none.
        """
        known, kept = _by_parameter(self.optimizer), _by_parameter(found)
        for name, entries in kept.items():
            due = known.get(name, {})
            for key in sorted(due.keys() | entries.keys()):
                if due.get(key) != entries.get(key):
                    return f"the optimizer's entry {key} of {name} is missing, or of another form"
        return None


def _forms(tensors: Tensors) -> dict[str, Form]:
    return {name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in tensors.items()}


def _types(numbers: Mapping[str, Any]) -> dict[str, type]:
    return {name: type(number) for name, number in numbers.items()}


def _by_parameter(entries: Mapping[str, Form | type]) -> dict[str, dict[str, Form | type]]:
    found: dict[str, dict[str, Form | type]] = {}
    for full, form in entries.items():
        name, _, key = full.rpartition("|")
        found.setdefault(name, {})[key] = form
    return found


def _out_of_range(numbers: Mapping[str, Any], step: int) -> str | None:
    """Return the number that cannot be: whole numbers count steps, others are factors."""
    for name, number in numbers.items():
        counted = isinstance(number, int) and 0 <= number <= step
        if not (counted or (isinstance(number, float) and number > 0 and math.isfinite(number))):
            return f"{name} is {number!r} after {step} steps"
    return None
