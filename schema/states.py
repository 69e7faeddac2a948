"""The states that a training went through: what it is committed to, segment by segment.

A training is divided into segments. At the end of each one its whole state is hashed, and the
digest stands in the trace of its steps, which the result hash covers. The states that a segment
starts from are kept as files, so that any segment can be executed again without those before it.

    states.json                     this document
    step-00000012/<group>.safetensors   the tensors of a state, by group
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, JsonValue

from .digest import digest
from .document import Digest, Document

INDEX = "states.json"
IN_TRACE = "state"
"""The name of a state's digest in the trace's entry of the step that it was reached by."""

OneTensor = tuple[str, list[int], Digest]


class State(Document):
    """The whole state of a training after an optimizer step.

    Attributes:
        step: optimizer steps done.
        tensors: by group (`adapter`, `optimizer`) and name: dtype, shape and sha256.
        numbers: what belongs to the state and is no tensor.
        kept: whether its tensors are kept as files; those of the last state are not, as nothing
            starts from it.
    """

    step: int = Field(ge=1)
    tensors: dict[str, dict[str, OneTensor]]
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
    bounds: tuple[State, ...]

    def digest(self) -> str:
        """Return the digest of all of it."""
        return digest("states", self.to_json())

    def segments(self) -> list[tuple[int, int]]:
        """Return the first and the last step of each segment."""
        ends = [state.step for state in self.bounds]
        return [(before + 1, end) for before, end in zip([0, *ends], ends, strict=False)]
