"""The kind that stores the base model's weights in fewer bits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from ..base import P, Plugin


class Quantizer(Plugin[P], ABC):
    """Says how the base weights are stored."""

    kind = "quantizer"

    @abstractmethod
    def config(self) -> Any | None:
        """Return a transformers quantization config, or None for full precision."""

    @abstractmethod
    def dtype(self) -> str:
        """Return the name of the torch dtype that the model computes in."""
