"""The kind that stores the base model's weights in fewer bits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from ...schema.architecture import Linear
from ..base import P, Plugin


class Quantizer(Plugin[P], ABC):
    """Chooses how the base weights are stored."""

    kind = "quantizer"

    @abstractmethod
    def config(self) -> Any | None:
        """Return a transformers quantization config, or None for full precision."""

    @abstractmethod
    def dtype(self) -> str:
        """Return the name of the torch dtype that the model computes in."""

    def experts(self) -> Any | None:
        """Return what quantizes the experts of a mixture: a function of a module and a name there.

        It is called for each parameter of three dimensions. None, as here, leaves them dense.
        """
        return None

    def stored_bytes(self, linear: Linear) -> int | None:
        """Return the bytes that a linear weight of the base takes as it is stored.

        None, as here, leaves the memory of a training unknown.
        """
        return None
