"""VeRA: adapters of trained vectors over random matrices shared by all modules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from khichdi.plugins import Adapter, Breach, Params
from khichdi.schema.architecture import ALL_LINEAR

from .targets import DESCRIPTION, TargetModules, chosen_modules, expressions, named
from .token_rows import TRAIN, UNTRAINED


class VeraParams(Params):
    """Rank and target modules of the adapter."""

    r: int = Field(256, ge=1, description="Rank of the random matrices, which are not trained.")
    dropout: float = Field(
        0.0, ge=0, lt=1, description="Dropout probability on the adapter's inputs."
    )
    d_initial: float = Field(
        0.1, gt=0, description="Initial value of the trained vector on the rank side."
    )
    projection_prng_key: int = Field(
        0, ge=0, description="Seed of the random matrices; peft regenerates them from it."
    )
    target_modules: TargetModules = Field(ALL_LINEAR, description=DESCRIPTION)


class Vera(Adapter[VeraParams]):
    """Train two vectors per linear weight, over shared random matrices (VeRA)."""

    name = "vera"
    requires = ("peft",)

    def config(self, model: Any) -> Any:
        """Return the peft `VeraConfig`; refuses names of modules that the model lacks."""
        from peft import VeraConfig

        params = self.params
        return VeraConfig(
            task_type="CAUSAL_LM",
            r=params.r,
            vera_dropout=params.dropout,
            d_initial=params.d_initial,
            projection_prng_key=params.projection_prng_key,
            save_projection=True,
            target_modules=chosen_modules(params.target_modules, model),
        )

    def contradictions(self, adds_tokens: bool) -> list[Breach]:
        """Refuse added tokens: vectors of linear modules are all that is trained."""
        return [Breach(UNTRAINED, hint=TRAIN)] if adds_tokens else []

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
        """Return twice the rank."""
        return {"r": 2 * self.params.r}
