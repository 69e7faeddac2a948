"""The kind that keeps or drops rows, and its editors, which rewrite them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ..base import P, Plugin
from .breach import Breach
from .drop import Drop
from .row_view import rows_of
from .template import Row

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class FilterInputs:
    """Inputs that a filter requested beside its rows.

    Attributes:
        files: by the names in `Filter.sources`, the folder with the verified files.
        benchmarks: by name, the rows of each benchmark of the recipe's `against:`.
        base: folder of the base model's files, for a filter with `uses_tokenizer`; else None.
        rows: all rows that it will be asked about, in order, mapped from disk: for what depends
            on all of them, such as how often a word is met.
    """

    files: Mapping[str, Path] = field(default_factory=dict)
    benchmarks: Mapping[str, pa.Table] = field(default_factory=dict)
    base: Path | None = None
    rows: pa.Table | None = None


class Filter(Plugin[P]):
    """Keeps or drops rows, each drop with a reason.

    A filter defines either `reason`, which is asked about one row, or `reasons`, which is asked
    about a batch and can be far faster.

    Attributes:
        sources: further bytes that it works with (an embedding model), as name -> description.
            Each is a source step of that name beside the parameters in the recipe; it is pinned
            in the lock like any other, and its bytes are part of the filter's key.
        uses_benchmarks: whether it compares rows with benchmarks; the recipe then names them
            beside the parameters, by `against: [NAME, ...]`.
        uses_tokenizer: whether it needs the base model's tokenizer.
        stateful: whether its verdict on a row depends on rows before it. Batches then come in
            row order to one instance; else they may be shared out to several processes.
    """

    kind = "filter"
    alternatives = ("reason", "reasons")
    sources: ClassVar[Mapping[str, str]] = {}
    uses_benchmarks: ClassVar[bool] = False
    uses_tokenizer: ClassVar[bool] = False
    stateful: ClassVar[bool] = False

    @classmethod
    def example_step(cls) -> dict[str, Any]:
        """Return a whole step, with its sources and with a benchmark that a recipe names so."""
        step = {name: {"use": "files", "include": [f"{name}/*"]} for name in cls.sources}
        against = {"against": ["exam"]} if cls.uses_benchmarks else {}
        return {"use": cls.name, **step, **against, **cls.example}

    def contradicts(
        self, earlier: Sequence[Filter[Any]], data_sets: Sequence[str]
    ) -> Breach | None:
        """Return why no row can pass this filter after earlier ones of its chain, or None.

        Asked when a recipe is checked, before any row is read. `data_sets` are the names that the
        rows' column `source` may have. The path of the breach starts at this filter.
        """
        return None

    def begin(self, inputs: FilterInputs) -> None:
        """Make ready; called once before the first batch."""

    def reason(self, row: Row) -> str | Drop | None:
        """Return None to keep the row, or why it is dropped."""
        raise NotImplementedError

    def reasons(self, batch: pa.RecordBatch) -> Sequence[str | Drop | None]:
        """Return, for each row of the batch, None to keep it or why it is dropped."""
        return [self.reason(row) for row in rows_of(batch)]


class Editor(Filter[P]):
    """A filter that drops nothing and rewrites rows: it truncates, cleans or renders their text.

    An editor defines either `edit_row`, which is given one row, or `edit`, which is given a batch.
    """

    alternatives = ("edit_row", "edit")

    def edit_row(self, row: Row, draw: int | None) -> Mapping[str, Any]:
        """Return the columns of the row that have other values now, by name.

        `draw` is a number, uniform in 0 <= n < 2**64, that depends on the seed and the row's id
        alone; it is None unless the class sets `seeded = True`.
        """
        raise NotImplementedError

    def edit(self, batch: pa.RecordBatch, draw: Sequence[int]) -> pa.RecordBatch:
        """Return the same rows, in order and with their ids, with other values.

        `draw` has a number for each row, as that of `edit_row`; it is empty unless the class sets
        `seeded = True`.
        """
        edited = []
        for row, number in zip_longest(rows_of(batch), draw):
            changed = self.edit_row(row, number)
            unknown = sorted(changed.keys() - row.keys())
            if unknown:
                raise KeyError(f"`edit_row` returned {unknown[0]!r}, which is not a column")
            edited.append({**row, **changed})
        return type(batch).from_pylist(edited, schema=batch.schema)

    def reasons(self, batch: pa.RecordBatch) -> Sequence[str | Drop | None]:
        """Keep every row."""
        return [None] * batch.num_rows
