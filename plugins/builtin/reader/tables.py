"""Read rows out of the formats everybody has: JSON lines, JSON, CSV, Parquet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Self

from pydantic import Field, model_validator

from ... import Params, Reader, SourceFile
from .columns import AS_TEXT_HELP, COLUMNS_HELP, Columns, FieldPath, TextColumn

if TYPE_CHECKING:
    import pyarrow as pa

    from .rows import Mapper

REQUIRES = ("datasets", "pyarrow")


class TableParams(Params):
    """Which fields of a record fill which columns."""

    columns: Columns | None = Field(
        None,
        description=COLUMNS_HELP
        + "Then only these are read. Left out, the fields that are named as our columns are.",
    )
    constants: dict[TextColumn, str] = Field(
        {},
        description="Columns that are the same in every row: `{instruction: Summarize it.}`. They "
        "need `columns`, and name none that a field fills.",
    )

    @model_validator(mode="after")
    def _constants_beside_columns(self) -> Self:
        if self.constants and self.columns is None:
            raise ValueError("`constants` needs `columns`, which say what the fields fill")
        both = sorted(set(self.constants) & set(self.columns or ()))
        if both:
            raise ValueError(f"`{both[0]}` is filled by `columns` and by `constants`: choose one")
        return self

    @model_validator(mode="after")
    def _has_output(self) -> Self:
        if self.columns is not None and "output" not in self.columns:
            raise ValueError("`columns` must say which field is the `output`: the text to learn")
        return self

    def mapper(self, as_text: Sequence[TextColumn] = ()) -> Mapper:
        """Return what makes rows of records."""
        from .rows import SAME_NAMES, Mapper

        if self.columns is None:
            return Mapper(SAME_NAMES, optional=SAME_NAMES, as_text=as_text)
        return Mapper(self.columns, as_text=as_text, constants=self.constants)


class TypedParams(TableParams):
    """Which fields fill which columns, for formats that have numbers beside texts."""

    as_text: tuple[TextColumn, ...] = Field((), description=AS_TEXT_HELP)

    @model_validator(mode="after")
    def _as_text_is_read(self) -> Self:
        unread = sorted(set(self.as_text) - set(self.columns or self.as_text))
        if unread:
            raise ValueError(f"`as_text` names `{unread[0]}`, which `columns` does not fill")
        return self


class JsonParams(TypedParams):
    """Where the records are, and which fields fill which columns."""

    field: FieldPath | None = Field(
        None,
        description="Where the list of records is when the file holds an object: `data`. "
        "Left out, the file holds the list itself.",
    )


class CsvParams(TableParams):
    """How the file is written, and which fields fill which columns."""

    delimiter: str = Field(",", min_length=1, max_length=1, description="Between two fields.")
    quote: str | None = Field(
        '"', min_length=1, max_length=1, description="Around a field; null where none is used."
    )
    names: tuple[FieldPath, ...] | None = Field(
        None,
        min_length=1,
        description="Names of the fields when the file has no header line; left out, the first "
        "line is the header.",
    )

    @model_validator(mode="after")
    def _can_be_told_apart(self) -> Self:
        if self.delimiter == self.quote:
            raise ValueError("`delimiter` and `quote` are the same character")
        twice = sorted({name for name in self.names or () if (self.names or ()).count(name) > 1})
        if twice:
            raise ValueError(f"`names` has `{twice[0]}` twice")
        return self


class Jsonl(Reader[TypedParams]):
    """Read JSON lines: one object on each line."""

    name = "jsonl"
    requires = REQUIRES

    def read(self, files: Sequence[SourceFile]) -> Iterator[pa.RecordBatch]:
        """Yield rows; numbers in text columns are an error unless `as_text` names the column."""
        from .json_records import jsonl_records
        from .rows import read_mapped

        return read_mapped(files, jsonl_records, self.params.mapper(self.params.as_text))


class Json(Reader[JsonParams]):
    """Read JSON files that hold one list of objects."""

    name = "json"
    requires = REQUIRES

    def read(self, files: Sequence[SourceFile]) -> Iterator[pa.RecordBatch]:
        """Yield rows; numbers in text columns are an error unless `as_text` names the column."""
        from .json_records import json_records
        from .rows import read_mapped

        parse = partial(json_records, field=self.params.field)
        return read_mapped(files, parse, self.params.mapper(self.params.as_text))


class Csv(Reader[CsvParams]):
    """Read CSV and its like; every field is a text, nothing is guessed."""

    name = "csv"
    requires = REQUIRES

    def read(self, files: Sequence[SourceFile]) -> Iterator[pa.RecordBatch]:
        """Yield rows; `007` and `NA` stay the texts they are."""
        from .rows import read_mapped
        from .table_records import csv_records

        params = self.params
        parse = partial(
            csv_records, delimiter=params.delimiter, quote=params.quote, names=params.names
        )
        return read_mapped(files, parse, params.mapper())


class Parquet(Reader[TypedParams]):
    """Read Parquet files."""

    name = "parquet"
    requires = REQUIRES

    def read(self, files: Sequence[SourceFile]) -> Iterator[pa.RecordBatch]:
        """Yield rows; numbers in text columns are an error unless `as_text` names the column."""
        from .rows import read_mapped
        from .table_records import parquet_records

        return read_mapped(files, parquet_records, self.params.mapper(self.params.as_text))
