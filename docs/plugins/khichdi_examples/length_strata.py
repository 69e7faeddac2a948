"""The sampler `length-strata`."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Literal, Self

from khichdi.plugins import Params, Sampler, hookimpl
from pydantic import Field, model_validator

if TYPE_CHECKING:
    import pyarrow as pa


class LengthStrataParams(Params):
    """Where lengths are parted, and how many rows each part gives."""

    field: Literal["instruction", "input", "output"] = Field(
        "output", description="The text whose words are counted."
    )
    edges: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        min_length=1, description="Bounds of the strata in words, increasing."
    )
    quota: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        min_length=2, description="Rows to keep per stratum; one more number than edges."
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if any(one >= other for one, other in pairwise(self.edges)):
            raise ValueError("`edges` must rise")
        if len(self.quota) != len(self.edges) + 1:
            raise ValueError(
                f"{len(self.edges)} edges part {len(self.edges) + 1} strata: "
                f"`quota` has {len(self.quota)} numbers"
            )
        return self


class LengthStrata(Sampler[LengthStrataParams]):
    """Keep a number of short, of middling and of long rows, drawn within each stratum."""

    name = "length-strata"
    example = {"edges": [10, 50], "quota": [100, 200, 100]}

    def asked(self) -> int:
        """Return the sum of the quota."""
        return sum(self.params.quota)

    def select(self, table: pa.Table, draw: Sequence[int]) -> Sequence[int]:
        """Return the positions with the smallest draws of each stratum."""
        strata: list[list[int]] = [[] for _ in self.params.quota]
        for position, text in enumerate(table.column(self.params.field).to_pylist()):
            strata[bisect_right(self.params.edges, len(text.split()))].append(position)
        return [
            position
            for stratum, quota in zip(strata, self.params.quota, strict=True)
            for position in sorted(stratum, key=draw.__getitem__)[:quota]
        ]


@hookimpl
def khichdi_samplers() -> list[type[LengthStrata]]:
    """Return the plugins of this distribution."""
    return [LengthStrata]
