"""The runtime `plain-pytorch`: a training loop that can be read in one sitting."""

from __future__ import annotations

from typing import Any

from khichdi.plugins import Params, Runtime, Schedule, TrainingJob, TrainingResult, hookimpl
from pydantic import Field


class PlainPytorchParams(Params):
    """How long, how fast, and in what steps."""

    num_epochs: int = Field(1, ge=1, description="Passes over the training set.")
    max_steps: int | None = Field(
        None, ge=1, description="Total optimizer steps; overrides num_epochs."
    )
    packs_per_step: int = Field(4, ge=1, description="Packs per optimizer step.")
    learning_rate: float = Field(
        1e-3, gt=0, description="Initial learning rate; it decays linearly to 0."
    )
    weight_decay: float = Field(0.0, ge=0, description="Decoupled weight decay.")
    max_grad_norm: float = Field(1.0, gt=0, description="Clip the gradient norm to this.")
    cpu_threads: int = Field(2, ge=1, le=256, description="CPU threads: rounding depends on them.")


class PlainPytorch(Runtime[PlainPytorchParams]):
    """Train with AdamW in a plain PyTorch loop, sample by sample: simple, and repeatable."""

    name = "plain-pytorch"
    version = 2  # 2: loaded and made repeatable by the toolkit
    requires = ("torch", "transformers", "peft", "safetensors")

    def rehearsal(self) -> dict[str, Any]:
        """Return parameters of three small steps."""
        return {"max_steps": 3, "packs_per_step": 1}

    def schedule(self) -> Schedule:
        """Return how long it trains, for estimates."""
        return Schedule(
            accumulation=self.params.packs_per_step,
            epochs=self.params.num_epochs,
            total_steps=self.params.max_steps,
        )

    def with_learning_rate(self, factor: float) -> dict[str, Any]:
        """Return another learning rate, for the controls of a calibration."""
        return {"learning_rate": factor * self.params.learning_rate}

    def with_length(self, steps: int, by: int) -> dict[str, Any]:
        """Return another number of steps, for the controls of a calibration."""
        return {"max_steps": max(1, round(steps * (1 + by / 3)))}

    def train(self, job: TrainingJob) -> TrainingResult:
        """Train from start to end; a run that was killed starts over, to the same bits."""
        from .loop import train

        return train(self.params, job)


@hookimpl
def khichdi_runtimes() -> list[type[PlainPytorch]]:
    """Return the plugins of this distribution."""
    return [PlainPytorch]
