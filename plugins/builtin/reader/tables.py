"""Read JSON lines, JSON, CSV and Parquet files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from khichdi.plugins import Drop, Reader, SourceFile

from .records.columns import (
    AS_TEXT_HELP,
    COLUMNS_HELP,
    Columns,
    FieldPath,
    ListColumn,
    ReaderParams,
    TemplateText,
    TextColumn,
)

if TYPE_CHECKING:
    import pyarrow as pa

    from .records.row_mapper import Mapper

REQUIRES = ("pyarrow",)


class TableParams(ReaderParams):
    """Mapping of fields to columns."""

    columns: Columns | None = Field(
        None,
        description=COLUMNS_HELP
        + "Then only these are read. If omitted, the fields named like khichdi's columns.",
    )
    constants: dict[TextColumn, str] = Field(
        {},
        description=(
            "Columns with the same value in every row: `{instruction: Summarize it.}`. Needs "
            "`columns`, and cannot name a column that a field fills."
        ),
    )

    render: dict[TextColumn, TemplateText] = Field(
        {},
        description=(
            "Columns composed of several fields, named in braces: `{input: "
            '"{context}\\n\\n{history}"}`. A list becomes one line per item, null becomes empty. '
            "Needs `columns`."
        ),
    )

    @model_validator(mode="after")
    def _each_column_once(self) -> Self:
        filled: dict[str, str] = dict.fromkeys(self.columns or (), "columns")
        for word in ("constants", "render"):
            names = sorted(getattr(self, word))
            if names and self.columns is None:
                raise ValueError(f"`{word}` needs `columns`, which map fields to columns")
            for name in names:
                if name in filled:
                    other = filled[name]
                    raise ValueError(f"`{name}` is filled by `{other}` and by `{word}`: choose one")
                filled[name] = word
        if self.columns is not None and not {"output"} & (set(self.columns) | set(self.render)):
            raise ValueError("`columns` must name the field of the `output`: the text to train on")
        return self

    def mapper(
        self,
        as_text: Sequence[TextColumn] = (),
        split: Mapping[ListColumn, str] | None = None,
    ) -> Mapper:
        """Return what makes rows of records."""
        from .records.row_mapper import SAME_NAMES, Mapper

        if self.columns is None:
            return Mapper(SAME_NAMES, optional=SAME_NAMES, as_text=as_text, split=split)
        return Mapper(
            self.columns,
            required=set(self.columns) & {"output"},
            as_text=as_text,
            constants=self.constants,
            render=self.render,
            split=split,
        )


class TypedParams(TableParams):
    """Mapping of fields to columns, for formats with numbers and booleans."""

    as_text: tuple[TextColumn, ...] = Field((), description=AS_TEXT_HELP)

    @model_validator(mode="after")
    def _as_text_is_read(self) -> Self:
        unread = sorted(set(self.as_text) - set(self.columns or self.as_text))
        if unread:
            raise ValueError(f"`as_text` names `{unread[0]}`, which `columns` does not fill")
        return self


class JsonParams(TypedParams):
    """Path to the records, and mapping of fields to columns."""

    field: FieldPath | None = Field(
        None,
        description=(
            "Path to the list of records when the file holds an object: `data`. If omitted, the "
            "file is the list itself."
        ),
    )


class CsvParams(TableParams):
    """Format of the file, and mapping of fields to columns."""

    delimiter: str = Field(",", min_length=1, max_length=1, description="Field separator.")
    quote: str | None = Field(
        '"', min_length=1, max_length=1, description="Quote character; null for none."
    )
    names: tuple[FieldPath, ...] | None = Field(
        None,
        min_length=1,
        description=(
            "Field names when the file has no header line; if omitted, the first line is the "
            "header."
        ),
    )
    split: dict[ListColumn, Annotated[str, StringConstraints(min_length=1)]] = Field(
        {},
        description='Separator of lists written as one text: `{references: ";"}`.',
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

    def read(self, files: Sequence[SourceFile]) -> Iterator[pa.RecordBatch | Drop]:
        """Yield rows; numbers in text columns are an error unless `as_text` names the column."""
        from .records.json_records import jsonl_records
        from .records.row_mapper import read_mapped

        mapper = self.params.mapper(self.params.as_text)
        return read_mapped(files, jsonl_records, mapper, self.params.on_bad_row)


class Json(Reader[JsonParams]):
    """Read JSON files that hold a list of objects."""

    name = "json"
    requires = REQUIRES

    def read(self, files: Sequence[SourceFile]) -> Iterator[pa.RecordBatch | Drop]:
        """Yield rows; numbers in text columns are an error unless `as_text` names the column."""
        from .records.json_records import json_records
        from .records.row_mapper import read_mapped

        parse = partial(json_records, field=self.params.field)
        mapper = self.params.mapper(self.params.as_text)
        return read_mapped(files, parse, mapper, self.params.on_bad_row)


class Csv(Reader[CsvParams]):
    """Read CSV and similar formats; every field is text, types are not inferred."""

    name = "csv"
    requires = REQUIRES

    def read(self, files: Sequence[SourceFile]) -> Iterator[pa.RecordBatch | Drop]:
        """Yield rows; `007` and `NA` stay the texts they are."""
        from .records.row_mapper import read_mapped
        from .records.table_records import csv_records

        params = self.params
        parse = partial(
            csv_records, delimiter=params.delimiter, quote=params.quote, names=params.names
        )
        mapper = params.mapper(split=params.split)
        return read_mapped(files, parse, mapper, params.on_bad_row)


class Parquet(Reader[TypedParams]):
    """Read the requested columns of Parquet files."""

    name = "parquet"
    requires = REQUIRES

    def read(self, files: Sequence[SourceFile]) -> Iterator[pa.RecordBatch | Drop]:
        """Yield rows; numbers in text columns are an error unless `as_text` names the column."""
        from .records.row_mapper import read_mapped
        from .records.table_records import parquet_records

        mapper = self.params.mapper(self.params.as_text)
        parse = partial(parquet_records, paths=mapper.paths)
        return read_mapped(files, parse, mapper, self.params.on_bad_row)
