"""Training states: digests that a training commits to, segment by segment.

A training is divided into segments. At the end of each one its whole state is hashed, and the
digest is in the trace of its steps, which the result hash covers. The states that a segment starts
from are kept as files, so that any segment can be executed again without those before it.

    states.json                     this document
    step-00000012/<group>.safetensors   the tensors of a state, by group
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, JsonValue, StringConstraints, model_validator

from .digest import digest
from .document import Digest, Document

INDEX = "states.json"
TRAINED = "adapter"
"""The group of the tensors that are trained, as they stand in the adapter's own file."""
IN_TRACE = "state"
"""The name of a state's digest in the trace's entry of the step that it was reached by."""

OneTensor = tuple[str, list[int], Digest]
Group = Annotated[str, StringConstraints(pattern="^[a-z][a-z0-9_]{0,40}$")]
"""The name of a file, so it must not lead out of its folder."""


class State(Document):
    """The whole state of a training after an optimizer step.

    Attributes:
        step: optimizer steps done.
        tensors: by group (`adapter`, `optimizer`) and name: dtype, shape and sha256.
        numbers: the parts of the state that are not tensors.
        kept: whether its tensors are kept as files; those of the last state are not, as nothing
            starts from it.
    """

    step: int = Field(ge=1)
    tensors: dict[Group, dict[str, OneTensor]]
    numbers: dict[str, JsonValue] = {}
    kept: bool

    def digest(self) -> str:
        """Return the digest that the trace commits to."""
        groups = {group: digest("tensors", named) for group, named in self.tensors.items()}
        return digest("state", {"step": self.step, "tensors": groups, "numbers": self.numbers})

    @property
    def folder(self) -> str:
        """Return the name of the folder of its files."""
        return f"step-{self.step:08d}"


class States(Document):
    """The states of one training, in order; `adapter_step` is the step whose adapter was kept."""

    states: Literal[1] = 1
    adapter_step: int = Field(ge=1)
    bounds: tuple[State, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        steps = [state.step for state in self.bounds]
        if steps != sorted(set(steps)) or self.adapter_step > steps[-1]:
            raise ValueError("the states are not those of one training, in order")
        if [state.kept for state in self.bounds] != [True] * (len(steps) - 1) + [False]:
            raise ValueError("all states but the last are kept, and no other")
        return self

    def digest(self) -> str:
        """Return the digest of all of it."""
        return digest("states", self.to_json())

    def segments(self) -> list[tuple[int, int]]:
        """Return the first and the last step of each segment."""
        ends = [state.step for state in self.bounds]
        return [(before + 1, end) for before, end in zip([0, *ends], ends, strict=False)]
