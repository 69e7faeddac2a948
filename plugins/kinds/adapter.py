"""The kind that says which weights are trained beside the frozen base."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from ..base import P, Plugin


class Adapter(Plugin[P], ABC):
    """Says which weights are trained."""

    kind = "adapter"

    @abstractmethod
    def config(self, model: Any) -> Any:
        """Return a peft config for this transformers model.

        Raises `StepError` when the model has no such modules.
        """

    def initialize(self, model: Any, base: Path) -> None:
        """Set the adapter's first weights, where those that peft gives are not wanted.

        Called once, with torch's random state seeded, after peft has put the adapter on the model
        and before the digest of its first weights is taken. It may change nothing of the base:
        whoever uses the adapter later puts it on the base as it is published.

        Args:
            model: the peft model; its base is quantized.
            base: folder with the base's files, verified; `khichdi.plugins.toolkit.base_weights`
                reads single tensors of it as they were before quantization.
        """
