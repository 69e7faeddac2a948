"""The adapter `my-plugin`."""

from __future__ import annotations

from typing import Any

from khichdi.plugins import Adapter, Params
from pydantic import Field


class MyPluginParams(Params):
    """Parameters of `my-plugin`; every field has a description."""

    r: int = Field(8, ge=1, description="Rank of the adapter.")


class MyPlugin(Adapter[MyPluginParams]):
    """Add LoRA to every linear layer."""

    name = "my-plugin"
    requires = ("peft",)

    def config(self, model: Any) -> Any:
        """Return the configuration of the adapter for this model."""
        from peft import LoraConfig

        return LoraConfig(r=self.params.r, target_modules="all-linear", task_type="CAUSAL_LM")
