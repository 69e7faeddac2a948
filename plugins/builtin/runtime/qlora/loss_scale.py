"""Scale the loss against what float16 is too coarse for, by the rule of torch's `GradScaler`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

START, LEAST = 65536.0, 1.0
PATIENCE = 2000
"""Steps without an overflow after which the scale is doubled."""
PREFIX = "loss_scale|"


class LossScale:
    """A factor of the loss; a power of 2, so that it rounds nothing by itself.

    Attributes:
        value: the factor.
        good: steps since it was last changed.
        skipped: steps whose gradients overflowed, and that changed no weight.
    """

    def __init__(self) -> None:
        self.value, self.good, self.skipped = START, 0, 0

    def divide(self, trained: Iterable[torch.nn.Parameter]) -> None:
        """Take the factor out of the gradients."""
        for parameter in trained:
            if parameter.grad is not None:
                parameter.grad.mul_(1 / self.value)

    def can_halve(self) -> bool:
        """Return whether a smaller factor is left to try."""
        return self.value > LEAST

    def update(self, *, overflowed: bool) -> None:
        """Take note of a step."""
        if overflowed:
            self.value, self.good, self.skipped = self.value / 2, 0, self.skipped + 1
            return
        self.good += 1
        if self.good == PATIENCE:
            self.value, self.good = self.value * 2, 0

    def numbers(self) -> dict[str, Any]:
        """Return the state beside the optimizer's numbers."""
        return {f"{PREFIX}{name}": value for name, value in vars(self).items()}

    def restore(self, numbers: dict[str, Any]) -> dict[str, Any]:
        """Put the state back, and return the numbers that are left."""
        for name in vars(self):
            setattr(self, name, numbers[f"{PREFIX}{name}"])
        return {key: value for key, value in numbers.items() if not key.startswith(PREFIX)}
