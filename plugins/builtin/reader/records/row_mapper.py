"""Map records to rows: fields to columns, checked, in Arrow batches."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, get_args

import pyarrow as pa

from khichdi.plugins import Drop, SourceFile
from khichdi.schema.did_you_mean import did_you_mean
from khichdi.schema.errors import StepError
from khichdi.schema.rows import row_schema

from ...placeholders import PlaceholderText
from .columns import Column, OnBadRow, TextColumn
from .record import BATCH, MISSING, FileRecord, RecordError, lookup, what

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
        render: our column -> a text with fields in braces; lists are joined by line breaks.
        split: list column -> separator of its items, where the field is one text.
    """

    def __init__(
        self,
        columns: Mapping[Any, str],
        *,
        required: Collection[str] = ("output",),
        optional: Collection[str] = (),
        as_text: Collection[str] = (),
        constants: Mapping[Any, str] | None = None,
        render: Mapping[Any, str] | None = None,
        split: Mapping[Any, str] | None = None,
    ) -> None:
        self.columns = dict(columns)
        self._constants = dict(constants or {})
        self._render = {name: PlaceholderText(text) for name, text in (render or {}).items()}
        self._split = dict(split or {})
        self._required = frozenset(required)
        self._as_text = frozenset(as_text)
        self._expected = frozenset(columns) - set(optional) - self._required
        self._seen: set[str] = set()

    @property
    def paths(self) -> list[str]:
        """The fields that it looks at."""
        inside = [name for text in self._render.values() for name in text.names]
        return [*self.columns.values(), *inside]

    def row(self, record: FileRecord) -> dict[str, Any]:
        """Return the columns of one record.

        Raises:
            RecordError: a required field is missing, or a field is of another type.
        """
        row: dict[str, Any] = {"id": record.id, **self._constants}
        for name, text in self._render.items():
            row[name] = text.fill({path: _rendered(record, path) for path in text.names})
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
                items = value if isinstance(value, list) else self._items(name, value)
                row[name] = [self._text(record, name, path, item) for item in items]
        return row

    def _items(self, name: str, value: Any) -> list[Any]:
        """Return the items of one value."""
        if name not in self._split or not isinstance(value, str):
            return [value]
        parts = (part.strip() for part in value.split(self._split[name]))
        return [part for part in parts if part]

    def finish(self, record: FileRecord) -> None:
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

    def _text(self, record: FileRecord, name: str, path: str, value: Any) -> str:
        if isinstance(value, bool | int | float | Decimal) and name in self._as_text:
            return _number(value)
        return text_of(record, f"`{path}`", value, as_text=name)


def _rendered(record: FileRecord, path: str) -> str:
    """Return a field's text in a template; nothing where it is null."""
    if lookup(record.value, path) is MISSING:
        message = f"there is no field `{path}`, which `render` names"
        raise record.error(message, _fields_hint(record, path), "missing-field")
    return text_at(record, path, missing="")


def _item(record: FileRecord, path: str, item: Any) -> str:
    if isinstance(item, bool | int | float | Decimal):
        return _number(item)
    return text_of(record, f"`{path}`", item)


def _number(value: float | Decimal) -> str:
    """Return a number or truth value as JSON writes it; a decimal keeps its trailing zeros."""
    return f"{value:f}" if isinstance(value, Decimal) else json.dumps(value)


def text_of(record: FileRecord, place: str, value: Any, as_text: str | None = None) -> str:
    """Return a value that must be a text; `as_text` names the column that could take a number."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            code = ord(value[error.start])
            raise record.error(
                f"{place} has half a character (\\u{code:04x}) at position {error.start}",
                "an emoji was split in two before the file was written; fix the text",
                "half-character",
            ) from None
        return value
    hint = None
    if as_text and isinstance(value, bool | int | float | Decimal):
        hint = f"to read it as text, set `as_text: [{as_text}]`"
    raise record.error(f"{place} must be a text, found {what(value)}", hint, "wrong-type")


def required_at(record: FileRecord, path: str, reason: str = "missing-field") -> Any:
    """Return the value of a field; it must be there and not be null."""
    value = lookup(record.value, path)
    if value is MISSING:
        raise record.error(f"there is no field `{path}`", _fields_hint(record, path), reason)
    if value is None:
        raise record.error(f"`{path}` is null", reason=reason)
    return value


def text_at(record: FileRecord, path: str, missing: str | None = None) -> str:
    """Return the text at a field, of a list one line for each item.

    `missing` replaces a field that is absent or null; without it that is an error.
    """
    value = lookup(record.value, path)
    if value is MISSING or value is None:
        if missing is not None:
            return missing
        required_at(record, path)
    items = value if isinstance(value, list) else [value]
    return "\n".join(_item(record, path, item) for item in items if item is not None)


def _missing(record: FileRecord, name: str, path: str, value: Any) -> RecordError:
    if value is None:
        message = f"`{path}` is null, and `{name}` must be a text in every record"
        return record.error(message, reason="missing-field")
    return record.error(
        f"there is no field `{path}`, and `{name}` must be a text in every record",
        _fields_hint(record, path, name),
        "missing-field",
    )


def _fields_hint(record: FileRecord, path: str, name: str | None = None) -> str:
    known = record.fields
    guess = did_you_mean(path, known)
    mapping = f"; choose one with `columns: {{{name}: ...}}`" if name and not guess else ""
    return f"{guess}the record has: {', '.join(known) or 'no fields'}{mapping}"


def read_mapped(
    files: Sequence[SourceFile],
    parse: Callable[[SourceFile], Iterator[FileRecord | RecordError]],
    mapper: Mapper,
    on_bad_row: OnBadRow,
    finish: Callable[[FileRecord, dict[str, Any]], dict[str, Any] | Drop] | None = None,
) -> Iterator[pa.RecordBatch | Drop]:
    """Yield the batches of files, each parsed by `parse` and mapped; `finish` edits each row."""

    def made(record: FileRecord) -> dict[str, Any] | Drop | RecordError:
        try:
            row = mapper.row(record)
            finished = finish(record, row) if finish else row
        except RecordError as bad:
            return bad
        return finished if isinstance(finished, Drop) else _with_references(finished)

    def rows() -> Iterator[dict[str, Any] | Drop | RecordError]:
        for file in files:
            last = None
            for found in parse(file):
                if isinstance(found, RecordError):
                    yield found
                else:
                    last = found
                    yield made(found)
            if last is not None:
                mapper.finish(last)

    return batches(rows(), on_bad_row)


def _with_references(row: dict[str, Any]) -> dict[str, Any]:
    """Put `output` before the references where it is not among them."""
    references = row.get("references", [])
    if row["output"] not in references:
        row["references"] = [row["output"], *references]
    return row


def batches(
    rows: Iterable[dict[str, Any] | Drop | RecordError], on_bad_row: OnBadRow
) -> Iterator[pa.RecordBatch | Drop]:
    """Yield Arrow batches of rows that all have the same columns of `khichdi.schema.rows`.

    Raises:
        RecordError: a record is bad, and the recipe does not ask to drop such.
        StepError: every record is bad: then it is the recipe that is wrong, not the records.
    """
    chunk: list[dict[str, Any]] = []
    kept, dropped, first = 0, 0, None
    for row in rows:
        if isinstance(row, dict):
            kept += 1
            chunk.append(row)
            if len(chunk) == BATCH:
                yield _batch(chunk)
                chunk = []
        elif isinstance(row, Drop):
            yield row
        elif on_bad_row == "error":
            raise row
        else:
            first = first or row
            dropped += 1
            yield row.drop()
    if first is not None and not kept:
        message = f"not one of {dropped} records could be read; the first: {first.message}"
        raise StepError(message, hint=first.hint, file=first.file, line=first.line)
    if chunk:
        yield _batch(chunk)


def _batch(chunk: list[dict[str, Any]]) -> pa.RecordBatch:
    schema = row_schema()
    fields = [schema.field(name) for name in chunk[0]]
    return pa.RecordBatch.from_pylist(chunk, schema=pa.schema(fields))
