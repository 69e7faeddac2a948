"""Look at a file of training data: its layout, its rows and their lengths."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from ...plugins.kinds import Drop, SourceFile
from ...plugins.registry import Registry
from ...schema.did_you_mean import nearest
from ...schema.errors import InputError, StepError
from ...schema.printable import one_line
from .data_layout import (
    CHAT,
    NATURAL_INSTRUCTIONS,
    READERS,
    Layout,
    are_turns,
    layout_of,
    mapped_layout,
)

if TYPE_CHECKING:
    import pyarrow as pa

SAMPLED = 200
"""Records that the layout is recognized by."""
TOKENS_PER_WORD = 1.4
TOKENS_PER_TURN = 8
"""A guess at the marks around a turn, for lengths before there is a tokenizer."""
SHOWN = 8
"""Fields that are named of those that are not read."""
TEXTS = ("instruction", "input", "output")


@dataclass
class Counts:
    """What was counted over the rows of a file.

    Attributes:
        words: words of each row.
        tokens: a guess at its tokens, by its words and turns.
        turns: turns of each chat; empty for other layouts.
        tools: chats with tools.
        unanswered: chats that end without an answer, which are left out.
        bad: records that cannot be read, which are left out; `first_bad` says why.
    """

    words: list[int] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    turns: list[int] = field(default_factory=list)
    tools: int = 0
    unanswered: int = 0
    bad: int = 0
    first_bad: str = ""

    @property
    def rows(self) -> int:
        """Rows that can be trained on."""
        return len(self.words)

    def tokens_at(self, share: float) -> int:
        """Return the length in tokens that this share of the rows does not exceed."""
        return sorted(self.tokens)[min(self.rows - 1, int(share * self.rows))]


@dataclass(frozen=True)
class DataFile:
    """A file of training data.

    Attributes:
        file: its path, as it was given.
        layout: the layout of its records.
        counts: what was counted; None where the file is still to be written.
        unread: fields that its records have and that are not read.
    """

    file: str
    layout: Layout
    counts: Counts | None = None
    unread: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return what the file has, for scripts."""
        found: dict[str, Any] = {"file": self.file, "layout": self.layout.kind}
        if self.counts is not None:
            found |= {
                "rows": self.counts.rows,
                "longest_words": max(self.counts.words),
                "tools": self.counts.tools,
                "unanswered": self.counts.unanswered,
                "unreadable": self.counts.bad,
            }
        return found | {"unread": list(self.unread)}

    def summary(self) -> str:
        """Return what the file has, in one sentence."""
        counts = self.counts
        if counts is None:
            return f"{self.file}: rows of {self.layout.words}"
        parts = [
            f"{self.file}: {counts.rows:,} row{'s' * (counts.rows != 1)} of {self.layout.words}",
            f"longest {max(counts.words):,} words",
        ]
        if counts.turns and self.layout.kind != CHAT:
            parts.append(f"{len(counts.turns):,} with earlier turns")
        elif counts.turns:
            low, high = min(counts.turns), max(counts.turns)
            parts.append(f"{low} to {high} turns" if low < high else f"{low} turns each")
        if counts.tools:
            parts.append(f"{counts.tools:,} with tools")
        if counts.unanswered:
            parts.append(f"left out {counts.unanswered:,} that end without an answer")
        if counts.bad:
            parts.append(f"left out {counts.bad:,} that cannot be read (first: {counts.first_bad})")
        if self.unread:
            more = f", and {len(self.unread) - SHOWN} more" if len(self.unread) > SHOWN else ""
            parts.append(f"not read: {', '.join(self.unread[:SHOWN])}{more}")
        return one_line("; ".join(parts))


def look_at(file: str, registry: Registry, columns: Mapping[str, str] | None = None) -> DataFile:
    """Read a file whole, by the reader that its layout asks for.

    Args:
        file: JSON lines, JSON, CSV, TSV or Parquet.
        registry: the installed plugins.
        columns: {our column: their field}; left out, the layout is recognized by usual names.

    Raises:
        InputError: there is no such file, it is in another format, its layout is unknown, or none
            of its records can be read.
    """
    source = SourceFile(file, _existing(file))
    try:
        records, table = _sampled(source)
        layout = mapped_layout(records, columns, table) if columns else layout_of(records, table)
        if layout is None:
            raise _unknown(file, records)
        counts = _counted(source, layout, registry)
    except StepError as error:
        raise InputError(
            error.message, hint=error.hint, file=error.file or file, line=error.line
        ) from None
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror or error}") from None
    except ModuleNotFoundError as error:
        raise InputError(
            f"reading {file} needs {error.name}, which is not installed",
            hint="install it with `pip install 'khichdi[data]'`",
        ) from None
    if not counts.rows:
        why = counts.first_bad or "every chat ends without an answer"
        raise InputError(f"no record can be read as {layout.words}: {why}", file=file)
    read = dict(layout.read)
    if counts.unanswered:
        read["unanswered"] = "drop"
    if counts.bad:
        read["on_bad_row"] = "drop"
    layout = Layout(layout.kind, layout.words, read, layout.template)
    fields = dict.fromkeys(str(name) for record in records for name in record)
    return DataFile(file, layout, counts, tuple(n for n in fields if n not in layout.fields()))


def _existing(file: str) -> Path:
    path = Path(file)
    try:
        if path.is_dir():
            raise InputError(
                f"{file} is a folder, a file was expected", hint="name one of its files"
            )
        if path.is_file():
            return path
        beside = [one.name for one in path.parent.iterdir()] if path.parent.is_dir() else []
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {file!r}: {error}") from None
    if path.exists():
        raise InputError(f"{file} is a device or a pipe", hint="write the data to a file")
    near = nearest(path.name, beside)
    hint = f"did you mean {path.parent / near}?" if near else "the path starts in this folder"
    raise InputError(f"there is no file {file}", hint=hint)


def _sampled(source: SourceFile) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the first records, and the reader that takes their fields as columns."""
    from ...plugins.builtin.reader.records.decompression import plain_suffix
    from ...plugins.builtin.reader.records.formats import records
    from ...plugins.builtin.reader.records.record import RecordError

    suffix = plain_suffix(source.path)
    if suffix not in READERS:
        raise InputError(
            f"cannot infer the format from the extension {suffix or '(none)'!r}",
            hint=f"known: {', '.join(READERS)}; and all but .parquet with .gz, .bz2, .xz or .zst",
            file=source.path,
        )
    found = list(islice(records(source), SAMPLED))
    good = [record.value for record in found if not isinstance(record, RecordError)]
    lines = suffix == ".json" and _first_byte(source) == b"{"
    if lines and (len(found) == 1 or not good) and (inside := _inside(source)):
        return inside
    if not good:
        first = next(record for record in found if isinstance(record, RecordError))
        raise InputError(first.message, hint=first.hint, file=source.path, line=first.line)
    table = {"use": "jsonl" if lines else READERS[suffix]}
    return good, table | ({"delimiter": "\t"} if suffix == ".tsv" else {})


def _first_byte(source: SourceFile) -> bytes:
    from ...plugins.builtin.reader.records.decompression import opened

    with opened(source) as stream:
        return stream.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()[:1]


def _inside(source: SourceFile) -> tuple[list[dict[str, Any]], dict[str, Any]] | None:
    """Return the records in a file that is one object, and their reader; None where it has none.

    Raises:
        InputError: there are several lists of records, and none or more than one has usual names.
    """
    from ...plugins.builtin.reader.records.json_records import load_json
    from ...plugins.builtin.reader.records.record import read_text

    whole = load_json(source, read_text(source))
    named = {
        name: value[:SAMPLED]
        for name, value in whole.items()
        if isinstance(value, list) and len(value) > 1 and not are_turns(value)
        if all(isinstance(item, dict) for item in value)
    }
    if {"Definition", "Instances"} <= whole.keys() and "Instances" in named:
        return named["Instances"], {"use": NATURAL_INSTRUCTIONS}
    tables = {name: {"use": "json", "field": name} for name in named}
    known = {n: found for n in named if (found := layout_of(named[n], tables[n]))}
    chosen = next(iter(known or named), None)
    if chosen is None or (len(known or named) == 1 and not _is_chat(known.get(chosen))):
        return (named[chosen], tables[chosen]) if chosen is not None else None
    raise InputError(
        "the file is one object, where a list of records or JSON lines were expected; lists in "
        f"it: {', '.join(f'`{one_line(name)}`' for name in named)}",
        hint=f"`jq -c '.[\"{one_line(list(named)[-1])}\"][]' {source.path} > rows.jsonl` writes "
        "JSON lines",
        file=source.path,
    )


def _is_chat(layout: Layout | None) -> bool:
    """Return whether a layout's reader takes lists of records alone."""
    return layout is not None and layout.kind == CHAT


def _unknown(file: str, records: list[dict[str, Any]]) -> InputError:
    fields = list(dict.fromkeys(str(name) for record in records for name in record))
    shown = ", ".join(f"`{name}`" for name in fields[:20]) + (", …" if len(fields) > 20 else "")
    table = READERS.get(PurePath(file).suffix.lower()) == "csv"
    header = "; is its first line no header? `--from instruct` writes a recipe, whose reader takes "
    names = "`{use: csv, names: [instruction, output]}`"
    return InputError(
        one_line(f"its columns have no usual names of training data: {shown}"),
        hint="map them: `--columns instruction=FIELD,output=FIELD`; `--columns output=FIELD` for "
        "plain text; `--columns messages=FIELD` for a list of turns, each with `role` and "
        "`content`, or `from` and `value`" + (f"{header}{names}" if table else ""),
        file=file,
    )


def _counted(source: SourceFile, layout: Layout, registry: Registry) -> Counts:
    """Read every row, and count words, turns and what is left out."""
    params = {name: value for name, value in layout.read.items() if name != "use"}
    params["on_bad_row"] = "drop"
    if layout.kind == CHAT:
        params["unanswered"] = "drop"
    reader = registry.create("reader", layout.read["use"], params)
    counts = Counts()
    for found in reader.read([source]):
        if not isinstance(found, Drop):
            _count(found, counts)
        elif found.reason == "unanswered":
            counts.unanswered += 1
        else:
            counts.bad += 1
            counts.first_bad = counts.first_bad or found.detail
    return counts


def _count(batch: pa.RecordBatch, counts: Counts) -> None:
    import pyarrow as pa

    from ...runtime.curation.texts import word_counts

    texts = []
    for row in _rows(batch):
        turns = row.get("turns") or ()
        spoken = [turn["text"] for turn in turns] or [row.get(name) or "" for name in TEXTS]
        texts.append("\n".join(spoken))
        counts.tools += bool(row.get("tools"))
        counts.tokens.append(TOKENS_PER_TURN * max(3, len(turns)))
        if turns:
            counts.turns.append(len(turns))
    words = word_counts(pa.array(texts, pa.string())).to_pylist()
    for place, count in enumerate(words, start=len(counts.words)):
        counts.tokens[place] += int(TOKENS_PER_WORD * count)
    counts.words += words


def _rows(batch: pa.RecordBatch) -> Iterator[dict[str, Any]]:
    names = [name for name in (*TEXTS, "turns", "tools") if name in batch.schema.names]
    yield from batch.select(names).to_pylist()


def data_set_name(file: str) -> str:
    """Return a name of the recipe language for a data file: its own, without endings."""
    from ...compiler.importers.sources import recipe_name

    stem = PurePath(file).name.split(".")[0]
    return recipe_name(stem) if any(c.isascii() and c.isalnum() for c in stem) else "data"
