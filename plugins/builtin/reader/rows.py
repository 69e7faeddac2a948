"""Rows out of records: which field fills which column, checked, and cut into Arrow batches."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from itertools import islice
from typing import Any, get_args

import datasets
import pyarrow as pa

from ....schema.errors import StepError
from ....schema.rows import COLUMNS
from ... import SourceFile
from .columns import Column, TextColumn
from .records import BATCH, MISSING, Record, lookup, what

TEXT = frozenset(get_args(TextColumn))
SAME_NAMES: dict[str, str] = {name: name for name in get_args(Column)}
"""The mapping for files whose fields are named as our columns are."""


class Mapper:
    """Makes the columns of a row from the fields of a record.

    Args:
        columns: our column -> their field.
        required: columns that every record must fill.
        optional: columns whose field may be missing from a whole file; any other that is named
            in `columns` and that no record of a file has is taken for a misspelling.
        as_text: columns whose numbers and truth values become text.
        constants: our column -> the text that every row gets there.
    """

    def __init__(
        self,
        columns: Mapping[Any, str],
        *,
        required: Collection[str] = ("output",),
        optional: Collection[str] = (),
        as_text: Collection[str] = (),
        constants: Mapping[Any, str] | None = None,
    ) -> None:
        self.columns = dict(columns)
        self._constants = dict(constants or {})
        self._required = frozenset(required)
        self._as_text = frozenset(as_text)
        self._expected = frozenset(columns) - set(optional) - self._required
        self._seen: set[str] = set()

    def row(self, record: Record) -> dict[str, Any]:
        """Return the columns of one record.

        Raises:
            StepError: a required field is missing, or a field is of another type.
        """
        row: dict[str, Any] = {"id": record.id, **self._constants}
        for name, path in self.columns.items():
            value = lookup(record.value, path)
            if value is not MISSING:
                self._seen.add(name)
            if value is MISSING or value is None:
                if name in self._required:
                    raise _missing(record, name, path, value)
                row[name] = "" if name in TEXT else []
            elif name in TEXT:
                row[name] = self._text(record, name, path, value)
            else:
                items = value if isinstance(value, list) else [value]
                row[name] = [self._text(record, name, path, item) for item in items]
        return row

    def finish(self, record: Record) -> None:
        """Check, after the last record of a file, that every field that was asked for was there."""
        absent = sorted(self._expected - self._seen)
        self._seen = set()
        if absent:
            name = absent[0]
            path = self.columns[name]
            raise StepError(
                f"no record has the field `{path}` that is to fill `{name}`",
                hint=_fields_hint(record, path),
                file=record.file.path,
            )

    def _text(self, record: Record, name: str, path: str, value: Any) -> str:
        if isinstance(value, bool | int | float) and name in self._as_text:
            return json.dumps(value)
        return text_of(record, f"`{path}`", value, as_text=name)


def text_of(record: Record, place: str, value: Any, as_text: str | None = None) -> str:
    """Return a value that must be a text; `as_text` names the column that could take a number."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            code = ord(value[error.start])
            raise record.error(
                f"{place} has half a character (\\u{code:04x}) at position {error.start}",
                "an emoji was cut in two before the file was written; mend the text",
            ) from None
        return value
    hint = None
    if as_text and isinstance(value, bool | int | float):
        hint = f"to read it as text say `as_text: [{as_text}]`"
    raise record.error(f"{place} must be a text, found {what(value)}", hint)


def _missing(record: Record, name: str, path: str, value: Any) -> StepError:
    if value is None:
        return record.error(f"`{path}` is null, and `{name}` must be a text in every record")
    return record.error(
        f"there is no field `{path}`, and `{name}` must be a text in every record",
        _fields_hint(record, path, name),
    )


def _fields_hint(record: Record, path: str, name: str | None = None) -> str:
    known = [str(key) for key in record.value]
    near = get_close_matches(path, known, n=1)
    guess = f"did you mean `{near[0]}`? " if near else ""
    mapping = f"; say which one it is: `columns: {{{name}: ...}}`" if name and not near else ""
    return f"{guess}the record has: {', '.join(known) or 'no fields'}{mapping}"


def read_mapped(
    files: Sequence[SourceFile],
    parse: Callable[[SourceFile], Iterator[Record]],
    mapper: Mapper,
    finish: Callable[[Record, dict[str, Any]], dict[str, Any]] | None = None,
) -> Iterator[pa.RecordBatch]:
    """Yield the batches of files, each parsed by `parse` and mapped; `finish` edits each row."""

    def rows() -> Iterator[dict[str, Any]]:
        for file in files:
            record = None
            for record in parse(file):
                row = mapper.row(record)
                yield _with_references(finish(record, row) if finish else row)
            if record is not None:
                mapper.finish(record)

    return batches(rows())


def _with_references(row: dict[str, Any]) -> dict[str, Any]:
    """Put `output` before the references where it is not among them."""
    references = row.get("references", [])
    if row["output"] not in references:
        row["references"] = [row["output"], *references]
    return row


def batches(rows: Iterable[dict[str, Any]]) -> Iterator[pa.RecordBatch]:
    """Yield Arrow batches of rows that all have the same columns of `khichdi.schema.rows`."""
    iterator = iter(rows)
    while chunk := list(islice(iterator, BATCH)):
        features = datasets.Features({name: _FEATURES[COLUMNS[name]] for name in chunk[0]})
        table = datasets.Dataset.from_list(chunk, features=features).data.table
        yield from table.replace_schema_metadata(None).combine_chunks().to_batches()


_STRING = datasets.Value("string")
_FEATURES: dict[str, Any] = {
    "string": _STRING,
    "list": datasets.List(_STRING),
    "turns": datasets.List({"role": _STRING, "text": _STRING}),
}
