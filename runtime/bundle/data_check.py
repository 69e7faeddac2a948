"""Look for secrets and folders of people in what a run made: rows, files, predictions.

Tables are read batch by batch, column by column. A value that has none of the texts that every
secret of some kind has is passed over, so a million rows take half a minute.
"""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ...schema.errors import InputError
from .privacy_check import Search, line_of

if TYPE_CHECKING:
    import pyarrow as pa

SHOWN = 5
"""Places that a refusal names."""
PIECE = 1 << 22
"""Bytes of a text that are searched at once, up to the end of a line."""
LONGEST_LINE = 1 << 26
"""Bytes of a line, or of a whole JSON file, that are searched at once."""
OPENERS: dict[bytes, Callable[[Path], Any]] = {
    b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open,
}  # fmt: skip
SAFETENSORS = ".safetensors"
HEADER = 100 << 20
"""The longest header that safetensors reads."""


class ArtifactFile(NamedTuple):
    """A file of an artifact: the output that it is of, as `train#trace`, its name and its place."""

    output: str
    name: str
    path: Path


class Place(NamedTuple):
    """Where something was found, and of which data set it is, where that is known."""

    words: str
    kind: str
    data_set: str | None = None


def check_artifacts(files: Iterable[ArtifactFile], allowed: Iterable[str] = ()) -> list[str]:
    """Look through rows, predictions and text files, and return the files that cannot be read.

    Args:
        files: what goes into a bundle.
        allowed: texts that may stand anywhere; or names of steps or data sets, such as
            `data/lima`, in which anything may.

    Raises:
        InputError: names the step, the row and the field, or the line, of what must not leave.
    """
    words = set(allowed)
    search, unread, found = Search(words, user=False), [], []
    for file in files:
        if any(f"{file.output.split('#')[0]}/".startswith(f"{word}/") for word in words):
            continue
        places = _places(file, search)
        if places is None:
            unread.append(f"{file.output}, {file.name}")
        else:
            found += [one for one in places if f"data/{one.data_set}" not in words]
    if found:
        raise _refused(found)
    return unread


def _refused(found: list[Place]) -> InputError:
    first = found[0]
    also = [one.words for one in found[1:SHOWN]]
    more = f"; also in {'; '.join(also)}" if also else ""
    more += f", {len(found):,} places in all" if len(found) > SHOWN else ""
    steps = dict.fromkeys(one.words.split("#")[0] for one in found)
    named = first.data_set and f"data/{first.data_set}"
    return InputError(
        f"{first.words}: {first.kind} must not leave this machine{more}",
        hint="take it out of the data, or drop such rows with a filter, and run again; a text that "
        "means something else is let through with --allow TEXT, and all that a step or data set "
        f"holds by its name: --allow {named or next(iter(steps))}",
    )


def _places(file: ArtifactFile, search: Search) -> Iterator[Place] | None:
    """Return an iterator over what is found in a file; None where it cannot be read."""
    with file.path.open("rb") as raw:
        head = raw.read(8192)
    if head.startswith(b"ARROW1"):
        return _in_table(file, search, _arrow(file.path))
    if head.startswith(b"PAR1"):
        return _in_table(file, search, _parquet(file.path))
    if file.name.endswith(SAFETENSORS):
        return _in_header(file, search)
    if file.name.endswith(".json") and file.path.stat().st_size <= LONGEST_LINE:
        return _in_json(file, search)
    opened = next((one for magic, one in OPENERS.items() if head.startswith(magic)), _open)
    if opened is _open and b"\x00" in head:
        return None
    return _in_text(file, search, opened)


def _open(path: Path) -> Any:
    return path.open("rb")


# ---- tables ---------------------------------------------------------------------------------


def _arrow(path: Path) -> Iterator[pa.RecordBatch]:
    from ..tables import batches

    yield from batches(path.parent)


def _parquet(path: Path) -> Iterator[pa.RecordBatch]:
    import pyarrow.parquet as pq

    from ..tables import BATCH

    with pq.ParquetFile(path) as file:
        yield from file.iter_batches(batch_size=BATCH)


def _in_table(
    file: ArtifactFile, search: Search, batches: Iterator[pa.RecordBatch]
) -> Iterator[Place]:
    before = 0
    for batch in batches:
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            for row, kind in _in_column(column, search):
                words = f"{file.output}, row {before + row}, field {name}"
                yield Place(words, kind, _data_set(batch, row))
        before += batch.num_rows


def _data_set(batch: pa.RecordBatch, row: int) -> str | None:
    """Return the data set of a row: rows have it as `source`, drop logs at the start of the id."""
    for column in ("source", "id"):
        if column in batch.schema.names:
            return str(batch.column(column)[row].as_py()).split("/")[0]
    return None


def _in_column(column: pa.Array, search: Search) -> Iterator[tuple[int, str]]:
    """Yield the row and the kind of what is found in a column's texts, at any depth."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_dictionary(kind):
        yield from _in_column(column.dictionary_decode(), search)
    elif pa.types.is_struct(kind):
        for part in column.flatten():
            yield from _in_column(part, search)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_map(kind):
        rows = pc.list_parent_indices(column).to_pylist()
        values = [column.keys, column.items] if pa.types.is_map(kind) else [column.flatten()]
        for part in values:
            for index, found in _in_column(part, search):
                yield rows[index], found
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        yield from _in_texts(column.cast(pa.large_string()), search)
    elif pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        yield from _in_texts(column.cast(pa.large_binary()), search)


def _in_texts(values: pa.Array, search: Search) -> Iterator[tuple[int, str]]:
    """Yield the number and the kind of what is found in an array of texts.

    All of them are searched at once for the texts that hint at a secret, as fast as memory is
    read; a hint that spans two of them costs a needless look at one.
    """
    import numpy as np

    _, ends, data = values.buffers()
    if data is None:
        return
    counted = np.frombuffer(ends, np.int64)[values.offset : values.offset + len(values) + 1]
    starts = (counted - counted[0]).tolist()
    text = data.slice(int(counted[0]), starts[-1]).to_pybytes()
    lower = text.lower()
    for look in search.looks:
        hinted: set[int] = set()
        for hint in look.hints:
            hinted |= _holding(hint, lower if look.any_case else text, starts)
        for index in sorted(hinted):
            for found in search.found_by(look, text[starts[index] : starts[index + 1]]):
                yield index, found.kind


def _holding(hint: bytes, text: bytes, starts: list[int]) -> set[int]:
    """Return the numbers of the texts that a hint begins in."""
    found, at = set(), text.find(hint)
    while at >= 0:
        index = bisect_right(starts, at) - 1
        found.add(index)
        at = text.find(hint, max(starts[index + 1], at + 1))
    return found


# ---- files ----------------------------------------------------------------------------------


def _in_json(file: ArtifactFile, search: Search) -> Iterator[Place]:
    """Yield what is found in a JSON file; in a list of objects by row and field."""
    raw = file.path.read_bytes()
    found = list(search.found_in(raw))
    if not found:
        return
    try:
        value = json.loads(raw)
    except ValueError:
        value = None
    rows = value if isinstance(value, list) else []
    seen = False
    for number, row in enumerate(rows):
        for name, text in row.items() if isinstance(row, dict) else ():
            for one in search.found_in(json.dumps(text, ensure_ascii=False).encode()):
                seen = True
                words = f"{file.output}, row {number}, field {name}"
                yield Place(words, one.kind, str(row.get("id", "")).split("/")[0] or None)
    for one in () if seen else found:
        yield Place(f"{file.output}, {file.name}, line {line_of(raw, one.start)}", one.kind)


def _in_text(file: ArtifactFile, search: Search, opened: Callable[[Path], Any]) -> Iterator[Place]:
    """Yield what is found in a text, compressed or not, by the file's line."""
    line = 1
    with opened(file.path) as text:
        while piece := text.read(PIECE):
            piece += text.readline(LONGEST_LINE)
            for one in search.found_in(piece):
                number = line + line_of(piece, one.start) - 1
                yield Place(f"{file.output}, {file.name}, line {number:,}", one.kind)
            line += piece.count(b"\n")


def _in_header(file: ArtifactFile, search: Search) -> Iterator[Place]:
    """Yield what is found in the header of safetensors; the tensors are numbers."""
    with file.path.open("rb") as raw:
        size = int.from_bytes(raw.read(8), "little")
        header = raw.read(min(size, HEADER))
    for one in search.found_in(header):
        yield Place(f"{file.output}, {file.name}, header", one.kind)
