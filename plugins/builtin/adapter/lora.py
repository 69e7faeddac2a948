"""LoRA: low-rank adapters."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from khichdi.plugins import Adapter, Params, StepError
from khichdi.schema.architecture import Architecture
from khichdi.schema.did_you_mean import did_you_mean


class LoraParams(Params):
    """Rank, scale and target modules of the adapter."""

    r: int = Field(16, ge=1, description="Rank of each low-rank update.")
    alpha: int = Field(32, ge=1, description="Updates are scaled by alpha / r.")
    dropout: float = Field(
        0.0, ge=0, lt=1, description="Dropout probability on the adapter's inputs."
    )
    target_modules: Literal["all-linear"] | Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        "all-linear",
        description=(
            "Linear modules that get an adapter: `all-linear` (all but the head), or names such as "
            "`q_proj`."
        ),
    )
    use_rslora: bool = Field(
        False, description="Scale by alpha / sqrt(r) instead (rank-stabilized LoRA)."
    )
    use_dora: bool = Field(
        False,
        description=(
            "Train the magnitude and the direction of each weight separately (DoRA): slower, more "
            "memory."
        ),
    )
    init_lora_weights: Literal["default", "gaussian", "loftq"] = Field(
        "default",
        description=(
            "Initialization: A uniform and B zero (`default`), A normal and B zero "
            "(`gaussian`), or the best rank-r correction of the quantization error (`loftq`); a "
            "LoftQ adapter belongs to the quantized base, so export it merged onto "
            "`dequantized`."
        ),
    )
    bias: Literal["none"] = Field("none", description="Which biases are trained: none.")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.use_dora and self.init_lora_weights == "loftq":
            raise ValueError(
                "`use_dora` takes lengths from weights before `init_lora_weights: loftq` moves "
                "them: leave one of them out"
            )
        return self


class Lora(Adapter[LoraParams]):
    """Train a low-rank update of linear weights (LoRA)."""

    name = "lora"
    requires = ("peft",)

    def config(self, model: Any) -> Any:
        """Return the peft `LoraConfig`; refuses names of modules that the model lacks."""
        from peft import LoraConfig

        params = self.params
        return LoraConfig(
            task_type="CAUSAL_LM",
            r=params.r,
            lora_alpha=params.alpha,
            lora_dropout=params.dropout,
            target_modules=chosen_modules(params.target_modules, model),
            use_rslora=params.use_rslora,
            use_dora=params.use_dora,
            bias=params.bias,
            # peft's own "loftq" would quantize the base again, also when the adapter is loaded.
            init_lora_weights="gaussian" if params.init_lora_weights == "gaussian" else True,
        )

    def trained_shapes(self, architecture: Architecture) -> list[int] | None:
        """Return the elements of A and B of every adapted module, and DoRA's magnitudes."""
        params = self.params
        adapted = architecture.modules(params.target_modules)
        widths = [width for linear in adapted for width in (linear.inputs, linear.outputs)]
        shapes = [params.r * width for width in widths] * architecture.layers
        if params.use_dora:
            shapes += [linear.outputs for linear in adapted] * architecture.layers
        if architecture.head in self.named_modules().values():
            shapes += [params.r * architecture.hidden, params.r * architecture.vocab]
        return shapes

    def size(self) -> str | None:
        """Return the rank."""
        return f"r {self.params.r}"

    def named_modules(self) -> Mapping[tuple[str | int, ...], str]:
        """Return the names in `target_modules`."""
        return named(self.params.target_modules)

    def resized(self, number: int) -> dict[str, Any] | None:
        """Return twice the rank, or twice alpha."""
        if number % 2 == 0:
            return {"r": 2 * self.params.r}
        return {"alpha": 2 * self.params.alpha}

    def initialize(self, model: Any, base: Path) -> None:
        """Start from what quantization lost, with `loftq`."""
        if self.params.init_lora_weights == "loftq":
            from .loftq import start_from_loss

            start_from_loss(model, base)


def named(modules: str | tuple[str, ...]) -> Mapping[tuple[str | int, ...], str]:
    """Return the names of modules by their paths; none for a word such as `all-linear`."""
    names = () if isinstance(modules, str) else modules
    return {("target_modules", index): name for index, name in enumerate(names)}


def chosen_modules(names: str | tuple[str, ...], model: Any) -> str | list[str]:
    """Return the modules as peft takes them: a word for all of a kind, or their names in order.

    Raises:
        StepError: names the first that no linear module of the model ends with.
    """
    import torch

    if isinstance(names, str):
        return names

    linear = [n for n, module in model.named_modules() if isinstance(module, torch.nn.Linear)]
    known = sorted({name.rpartition(".")[2] for name in linear})
    for name in names:
        if not any(full == name or full.endswith(f".{name}") for full in linear):
            raise StepError(
                f"target_modules: the model has no linear module named `{name}`",
                hint=f"{did_you_mean(name, known)}it has: {', '.join(known)}",
            )
    return sorted(names)
