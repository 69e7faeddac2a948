"""Read records of instruction, input and output (Alpaca format)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import Field

from khichdi.plugins import Drop, Reader, SourceFile

from .records.columns import (
    AS_TEXT_HELP,
    COLUMNS_HELP,
    Columns,
    FieldPath,
    ReaderParams,
    TextColumn,
)

if TYPE_CHECKING:
    import pyarrow as pa

    from .records.record import FileRecord


class AlpacaParams(ReaderParams):
    """Columns beside instruction, input and output."""

    columns: Columns = Field(
        default_factory=dict,
        description=COLUMNS_HELP
        + "`instruction`, `input` and `output` are read by default and need not be named.",
    )
    history: FieldPath | None = Field(
        None,
        description=(
            "Field with the turns before this one, as a list of [question, answer]. The first "
            "question then becomes the instruction, and the whole chat is in `turns`."
        ),
    )
    as_text: tuple[TextColumn, ...] = Field((), description=AS_TEXT_HELP)


class Alpaca(Reader[AlpacaParams]):
    """Read records of instruction, optional input, and output; JSON, CSV or Parquet."""

    name = "alpaca"
    requires = ("pyarrow",)

    def read(self, files: Sequence[SourceFile]) -> Iterator[pa.RecordBatch | Drop]:
        """Yield rows; the format of each file is the one its name ends with."""
        from .records.formats import records
        from .records.row_mapper import Mapper, read_mapped

        own = {name: name for name in ("instruction", "input", "output")}
        mapper = Mapper(
            own | self.params.columns,
            required=("instruction", "output"),
            optional=() if "input" in self.params.columns else ("input",),
            as_text=self.params.as_text,
        )
        history = self.params.history
        parse = partial(records, paths=[*mapper.paths, *([history] if history else [])])
        finish = self._with_history if history else None
        return read_mapped(files, parse, mapper, self.params.on_bad_row, finish)

    def _with_history(self, record: FileRecord, row: dict[str, Any]) -> dict[str, Any]:
        """Put the turns of the history before the row's own."""
        from .records.record import MISSING, lookup
        from .records.row_mapper import text_of

        history = lookup(record.value, str(self.params.history))
        row["turns"] = []
        if history is MISSING or not history:
            return row
        place = f"`{self.params.history}`"
        for pair in history if isinstance(history, list) else [history]:
            if not isinstance(pair, list) or len(pair) != 2:
                raise record.error(f"{place} must be a list of [question, answer]")
            for role, text in zip(("user", "assistant"), pair, strict=True):
                said = text_of(record, place, text)
                row["turns"].append({"role": role, "text": said, "extra": ""})
        question = "\n\n".join(text for text in (row["instruction"], row["input"]) if text)
        row["turns"] += [
            {"role": "user", "text": question, "extra": ""},
            {"role": "assistant", "text": row["output"], "extra": ""},
        ]
        first = {"instruction": history[0][0], "input": "", "output": history[0][1]}
        return row | first | {"references": []}
