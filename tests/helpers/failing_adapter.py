"""An adapter that one process of a training cannot put on."""

from __future__ import annotations

import os
from typing import Any

from khichdi.plugins import StepError
from khichdi.plugins.builtin.adapter.lora import Lora


class FailsOnRank1(Lora):
    def config(self, model: Any) -> Any:
        if os.environ.get("RANK") == "1":
            raise StepError("the adapter failed", hint="pick it up")
        return super().config(model)
