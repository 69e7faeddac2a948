"""Kinds that bring rows and turn them into text: from bytes to what is learnt."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ...schema.lock import PinnedFile
from ..base import P, Plugin
from .model import Progress, Quantizer
from .row_view import rows_of

if TYPE_CHECKING:
    import pyarrow as pa

Row = Mapping[str, Any]
"""A row as plain Python values, with the columns of `khichdi.schema.rows`."""


# ---- bytes ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pin:
    """What a source resolved to: an immutable revision where there is one, and every file."""

    files: tuple[PinnedFile, ...]
    revision: str | None = None


class Source(Plugin[P], ABC):
    """Brings bytes. `pin` says exactly which, `fetch` brings those and no others.

    `local` says that the bytes lie on this machine and may be edited: they are then compared
    with the lock before every run, also when no step has to read them again.
    """

    kind = "source"
    local: ClassVar[bool] = False

    @abstractmethod
    def pin(self, folder: Path) -> Pin:
        """Resolve the parameters to files with size and sha256.

        `folder` is where the recipe file lies; relative paths start there. Called by
        `recipe lock` only. Raises `FetchError` when the place cannot be reached or has nothing.
        """

    @abstractmethod
    def fetch(self, pin: Pin, folder: Path, into: Path) -> None:
        """Write every pinned file to `into / file.path`; the caller compares size and sha256.

        Raises `FetchError`.
        """

    def place(self) -> str | None:
        """Return where the source's files lie in a mirror, `huggingface/datasets/GAIR/lima`.

        None, as here, says that a mirror cannot stand in for it.
        """
        return None

    def chosen(self, paths: Sequence[str], folder: Path | None) -> list[str]:
        """Return those of a mirror's paths that the parameters ask for.

        `folder` is where they lie, or None where they are not on this machine.
        """
        return list(paths)


@dataclass(frozen=True)
class SourceFile:
    """A fetched file: its path inside the source, and where its bytes lie."""

    path: str
    location: Path


@dataclass(frozen=True)
class Drop:
    """Why a row goes: a short slug (`too-long`), counted in the record, and what was seen.

    `detail` is for a person who asks about one row: the row it repeats, the phrase it holds.
    `id` is for a reader alone, whose bad record is no row yet.
    """

    reason: str
    detail: str = ""
    id: str = ""


class Reader(Plugin[P], ABC):
    """Turns bytes into rows."""

    kind = "reader"

    @abstractmethod
    def read(self, files: Sequence[SourceFile]) -> Iterator[pa.RecordBatch | Drop]:
        """Yield batches with any of the columns of `khichdi.schema.rows`, and `id` always.

        `id` is `<file path>#<number of the record in the file, from 0>`; the caller puts the
        data set's name before it, fills `source`, and fills columns left out with empty values.
        Files come sorted by path. Raises `StepError` naming file and line of a bad record, or,
        where the recipe asks to drop bad records, yields a `Drop` with the id it would have had.
        """


# ---- rows -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class FilterInputs:
    """What a filter asked for beside its rows.

    Attributes:
        files: by the names in `Filter.sources`, the folder with the verified files.
        benchmarks: by name, the rows of each benchmark of the recipe's `against:`.
        base: folder of the base model's files, for a filter with `uses_tokenizer`; else None.
    """

    files: Mapping[str, Path] = field(default_factory=dict)
    benchmarks: Mapping[str, pa.Table] = field(default_factory=dict)
    base: Path | None = None


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
        stateful: whether what it says of a row depends on rows before it. Batches then come in
            row order to one instance; else they may be shared out to several processes.
    """

    kind = "filter"
    one_of = ("reason", "reasons")
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

    one_of = ("edit_row", "edit")

    def edit_row(self, row: Row, draw: int | None) -> Mapping[str, Any]:
        """Return the columns of the row that have other values now, by name.

        `draw` is a number, uniform in 0 <= n < 2**64, that depends on the seed and the row's id
        alone; it is None unless the class says `seeded = True`.
        """
        raise NotImplementedError

    def edit(self, batch: pa.RecordBatch, draw: Sequence[int]) -> pa.RecordBatch:
        """Return the same rows, in order and with their ids, with other values.

        `draw` has a number for each row, as that of `edit_row`; it is empty unless the class says
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


@dataclass(frozen=True)
class ScoringJob:
    """All that a scorer gets.

    Attributes:
        rows: the data set's rows, with the columns of `khichdi.schema.rows`.
        base: folder of the base model's files, for a scorer with `uses_model`; else None.
        quantizer: how the base is stored, beside `base`.
        seed: of everything random in scoring.
        work: folder that survives a killed run; a job that finds its own parts goes on from them.
        report: called with the number of rows that are done.
    """

    rows: pa.Table
    base: Path | None
    quantizer: Quantizer[Any] | None
    seed: int
    work: Path
    report: Callable[[Progress], None]


@dataclass(frozen=True)
class Scores:
    """What a scorer found: a finite number for each row, and, where it has one, the model's text.

    A row that was not scored has None for both. `metrics` are numbers for the record; `measured`
    what differs from machine to machine.
    """

    values: Sequence[float | None]
    predictions: Sequence[str | None] | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    measured: Mapping[str, float | str] = field(default_factory=dict)


class Scorer(Plugin[P], ABC):
    """Gives each row a number, for samplers to draw by.

    `uses_model` says that it needs the base model; its key then covers the base's bytes.
    """

    kind = "scorer"
    uses_model: ClassVar[bool] = False

    @abstractmethod
    def score(self, job: ScoringJob) -> Scores:
        """Return a number, or None, for each row, in row order. Raises `StepError`."""


class Sampler(Plugin[P], ABC):
    """Chooses which rows of a data set go into the mixture.

    `uses_scores` says that it samples by what a scorer found; the recipe must then name one.
    """

    kind = "sampler"
    seeded = True
    uses_scores: ClassVar[bool] = False

    def asked(self) -> int | None:
        """Return how many rows the parameters ask for, at most; None where only data can tell.

        Checks of a recipe hold other settings against it before any row is read, and a sampler
        that gives fewer is remarked on.
        """
        return None

    @abstractmethod
    def select(self, table: pa.Table, draw: Sequence[int]) -> Sequence[int]:
        """Return the positions of the rows to keep, in any order; the caller keeps row order.

        After a scorer the table has a column `score` beside those of `khichdi.schema.rows`, null
        for rows that were not scored.
        `draw` has a number for each row, uniform in 0 <= n < 2**64, that depends on the seed and
        the row's id alone. Keep the smallest: then more rows asked for means the same rows and
        others, and another source changes nothing here.
        """


@dataclass(frozen=True)
class Segment:
    """A piece of a rendered row; `learn` says whether the loss counts its tokens."""

    text: str
    learn: bool


class Template(Plugin[P], ABC):
    """Renders a row as text."""

    kind = "template"

    @abstractmethod
    def segments(self, row: Row, tokenizer: Any) -> list[Segment]:
        """Return the pieces of the row in order; they are tokenised one by one.

        The last is the answer (`learn=True`), so that all before it is the prompt to generate
        from. An end-of-sequence token is put after each piece that is learnt; a template that
        writes its own ends the piece with `tokenizer.eos_token`, which is not doubled.
        """
