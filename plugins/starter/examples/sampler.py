"""The sampler `my-plugin`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from khichdi.plugins import Params, Sampler
from pydantic import Field

if TYPE_CHECKING:
    import pyarrow as pa


class MyPluginParams(Params):
    """Parameters of `my-plugin`; every field has a description."""

    count: int = Field(100, ge=1, description="Maximum number of rows to keep.")


class MyPlugin(Sampler[MyPluginParams]):
    """Draw rows at random, each with the same chance."""

    name = "my-plugin"

    def asked(self) -> int:
        """Return how many rows are asked for."""
        return self.params.count

    def select(self, table: pa.Table, draw: Sequence[int]) -> Sequence[int]:
        """Return the positions of the smallest draws."""
        return sorted(range(table.num_rows), key=draw.__getitem__)[: self.params.count]
