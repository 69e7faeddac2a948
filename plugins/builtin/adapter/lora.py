"""LoRA: low-rank adapters."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from khichdi.plugins import Adapter, Breach, Params, later
from khichdi.schema.architecture import ALL_LINEAR, Architecture

from .targets import DESCRIPTION, TargetModules, chosen_modules, expressions, left_out, named
from .token_rows import TRAIN, UNTRAINED, chosen_rows

TokenId = Annotated[int, Field(ge=0)]


class LoraParams(Params):
    """Rank, scale and target modules of the adapter."""

    r: int = Field(16, ge=1, description="Rank of each low-rank update.")
    alpha: int = Field(32, ge=1, description="Updates are scaled by alpha / r.")
    dropout: float = Field(
        0.0, ge=0, lt=1, description="Dropout probability on the adapter's inputs."
    )
    target_modules: TargetModules = Field(ALL_LINEAR, description=DESCRIPTION)
    target_parameters: tuple[str, ...] = Field(
        (),
        exclude_if=lambda names: not names,
        description=(
            "Parameters that get an adapter although they are not linear modules, by the ends of "
            "their paths: the experts of a mixture, such as `mlp.experts.gate_up_proj`."
        ),
    )
    modules_to_save: tuple[str, ...] = Field(
        (),
        exclude_if=lambda names: not names,
        description=(
            "Modules that are trained in full and saved with the adapter, by name, such as "
            "`[embed_tokens, lm_head]`: for tokens that the base has not learned."
        ),
    )
    trainable_token_indices: Literal["added"] | tuple[TokenId, ...] = later(
        (),
        description=(
            "Tokens whose rows are trained, in the embedding and in a head of its own, and saved "
            "with the adapter: ids, or `added` for those that `model.tokens` adds."
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
        if self.target_parameters and self.dropout:
            raise ValueError(
                "`dropout` cannot be applied to `target_parameters`: write `dropout: 0`, or leave "
                "one of them out"
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
            exclude_modules=left_out(params.target_modules, model),
            target_parameters=list(params.target_parameters) or None,
            modules_to_save=list(params.modules_to_save) or None,
            trainable_token_indices=chosen_rows(params.trainable_token_indices, model),
            use_rslora=params.use_rslora,
            use_dora=params.use_dora,
            bias=params.bias,
            # peft's own "loftq" would quantize the base again, also when the adapter is loaded.
            init_lora_weights="gaussian" if params.init_lora_weights == "gaussian" else True,
        )

    def trained_shapes(self, architecture: Architecture) -> list[int] | None:
        """Return the elements of A and B of every adapted module, and DoRA's magnitudes."""
        params = self.params
        whole = architecture.whole_modules(params.modules_to_save)
        if params.target_parameters or whole is None:
            return None
        adapted = architecture.adapted(params.target_modules)
        widths = [width for linear in adapted for width in (linear.inputs, linear.outputs)]
        shapes = [params.r * width for width in widths]
        if params.use_dora:
            shapes += [linear.outputs for linear in adapted]
        if architecture.reaches_head(params.target_modules):
            shapes += [params.r * architecture.hidden, params.r * architecture.vocab]
        ids = params.trainable_token_indices
        rows = architecture.added_tokens if ids == "added" else len(ids)
        if rows:
            shapes += [rows * architecture.hidden] * (1 if architecture.tied else 2)
        return shapes + whole

    def contradictions(self, adds_tokens: bool) -> list[Breach]:
        """Refuse added tokens that nothing trains, and `added` where none is."""
        params = self.params
        if adds_tokens:
            trained = params.trainable_token_indices or params.modules_to_save
            return [] if trained else [Breach(UNTRAINED, hint=TRAIN)]
        if params.trainable_token_indices != "added":
            return []
        hint = "list tokens in `model.tokens.add` or `add_special`, or leave it out"
        return [
            Breach("no token is added that could be trained", ("trainable_token_indices",), hint)
        ]

    def size(self) -> str | None:
        """Return the rank."""
        return f"r {self.params.r}"

    def named_modules(self) -> Mapping[tuple[str | int, ...], str]:
        """Return the names in `target_modules`."""
        return named(self.params.target_modules)

    def module_expressions(self) -> Mapping[tuple[str | int, ...], str]:
        """Return `target_modules`, where it is a regular expression."""
        return expressions(self.params.target_modules)

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
