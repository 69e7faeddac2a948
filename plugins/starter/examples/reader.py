"""The reader `my-plugin`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from khichdi.plugins import Params, Reader, SourceFile
from pydantic import Field

if TYPE_CHECKING:
    import pyarrow as pa


class MyPluginParams(Params):
    """Parameters of `my-plugin`; every field has a description."""

    separator: str = Field("\t", min_length=1, description="Field separator.")


class MyPlugin(Reader[MyPluginParams]):
    """Read a question and an answer from each line."""

    name = "my-plugin"

    def read(self, files: Sequence[SourceFile]) -> Iterator[pa.RecordBatch]:
        """Yield a row for each line."""
        import pyarrow as pa

        for file in files:
            lines = file.location.read_text(encoding="utf-8").splitlines()
            parts = [line.partition(self.params.separator) for line in lines]
            columns = {
                "id": [f"{file.path}#{number}" for number in range(len(lines))],
                "input": [question for question, _, _ in parts],
                "output": [answer for _, _, answer in parts],
            }
            yield pa.record_batch({k: pa.array(v, pa.string()) for k, v in columns.items()})
