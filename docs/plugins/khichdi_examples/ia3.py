"""The adapter `ia3`."""

from __future__ import annotations

from typing import Annotated, Any, Self

from khichdi.plugins import Adapter, Params, StepError, hookimpl
from pydantic import Field, model_validator

Names = Annotated[tuple[str, ...], Field(min_length=1)]


class Ia3Params(Params):
    """Which modules get a vector that is learnt."""

    target_modules: Names = Field(
        ("k_proj", "v_proj", "down_proj"),
        description="Modules whose activations are rescaled; the defaults fit Llama and Mistral.",
    )
    feedforward_modules: tuple[str, ...] = Field(
        ("down_proj",),
        description="Of these, modules whose input is rescaled instead of the output.",
    )

    @model_validator(mode="after")
    def _among_targets(self) -> Self:
        strangers = sorted(set(self.feedforward_modules) - set(self.target_modules))
        if strangers:
            raise ValueError(f"`{strangers[0]}` is in feedforward_modules, not in target_modules")
        return self


class Ia3(Adapter[Ia3Params]):
    """Learn one vector per module that rescales its activations ((IA)^3): few weights indeed."""

    name = "ia3"
    requires = ("peft",)

    def config(self, model: Any) -> Any:
        """Return the peft `IA3Config`; refuses names of modules that the model lacks."""
        from peft import IA3Config

        have = {name.rpartition(".")[2] for name, _ in model.named_modules()}
        for name in self.params.target_modules:
            if name not in have:
                known = ", ".join(sorted(n for n in have if n.endswith(("proj", "fc1", "fc2"))))
                raise StepError(
                    f"target_modules: the model has no module named `{name}`",
                    hint=f"it has: {known}" if known else None,
                )
        return IA3Config(
            task_type="CAUSAL_LM",
            target_modules=sorted(self.params.target_modules),
            feedforward_modules=sorted(self.params.feedforward_modules),
        )


@hookimpl
def khichdi_adapters() -> list[type[Ia3]]:
    """Return the plugins of this distribution."""
    return [Ia3]
