"""Base class of rules, which check a recipe against conditions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..base import P, Plugin
from .breach import Breach

if TYPE_CHECKING:
    from ...schema.estimate import Estimate


@dataclass(frozen=True)
class Facts:
    """Inputs of a rule: the declared facts of a bound recipe, and its estimated cost.

    Attributes:
        base: the base model's source parameters; none where the recipe ends with its data.
        base_license: SPDX id of the base model, or None where the recipe has none.
        data_licenses: SPDX id of each data set by name, or None where the recipe has none.
        data_sources: source parameters of each data set by name, its plugin as `use`.
        instruction_tuned: whether the base was instruction-tuned, judged by its name; None where
        that is unclear.
        estimate: gives the estimate for a device of the table by its name. None in a check
            that makes no estimates.
    """

    base: Mapping[str, Any]
    base_license: str | None
    data_licenses: Mapping[str, str | None]
    data_sources: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    instruction_tuned: bool | None = None
    estimate: Callable[[str], Estimate] | None = None


class Rule(Plugin[P], ABC):
    """Checks a recipe against conditions from outside: licences, budgets, a challenge."""

    kind = "rule"

    @abstractmethod
    def breaches(self, facts: Facts) -> list[Breach]:
        """Return what breaks the rule; an empty list when it holds."""

    def device(self) -> str | None:
        """Return the device that the rule is about: estimates are for it, if no other is named."""
        return None
