"""The kind that chooses the weights trained beside the frozen base."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...schema.architecture import Architecture
from ..base import P, Plugin
from .breach import Breach


class Adapter(Plugin[P], ABC):
    """Chooses the weights that are trained."""

    kind = "adapter"

    @abstractmethod
    def config(self, model: Any) -> Any:
        """Return a peft config for this transformers model.

        Raises `StepError` when the model has no such modules.
        """

    def trained_shapes(self, architecture: Architecture) -> list[int] | None:
        """Return the number of elements of each trained tensor; None, as here: not known."""
        return None

    def size(self) -> str | None:
        """Return the size of the adapter in a few words, for a plan's summary: `r 16`."""
        return None

    def named_modules(self) -> Mapping[tuple[str | int, ...], str]:
        """Return the names of modules that the parameters ask for, by their paths there.

        A name that the base's architecture does not have is reported at its place in the recipe
        before anything is downloaded.
        """
        return {}

    def module_expressions(self) -> Mapping[tuple[str | int, ...], str]:
        """Return regular expressions over whole paths of modules, by their paths in the parameters.

        One that matches nothing in the base is reported like a name that the base does not have.
        """
        return {}

    def contradictions(self, adds_tokens: bool) -> list[Breach]:
        """Return parameters that contradict settings of the recipe, by their paths there.

        A breach without a path is about the tokens that are added.

        Args:
            adds_tokens: whether the recipe adds tokens, which mean nothing until the embedding
                and the head are trained for them.
        """
        return []

    def resized(self, number: int) -> dict[str, Any] | None:
        """Return parameters of an adapter of another size, whose trainings an audit must reject.

        A calibration makes some, by `number`. None, as here, where there are none.
        """
        return None

    def initialize(self, model: Any, base: Path) -> None:
        """Set the adapter's first weights, where those that peft gives are not wanted.

        Called once, with torch's random state seeded, after peft has put the adapter on the model
        and before the digest of its first weights is taken. It may change nothing of the base:
        users of the adapter put it on the base as it is published.

        Args:
            model: the peft model; its base is quantized.
            base: folder with the base's files, verified; `khichdi.plugins.toolkit.base_weights`
                reads single tensors of it as they were before quantization.
        """
