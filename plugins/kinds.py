"""One base class per kind. The base does the chores, an author writes one method.

A plugin never changes a recipe, a plan or another's result: it gets its inputs as arguments and
gives its result back. Randomness comes in as a seed, never from a global generator.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ..schema.lock import PinnedFile
from .base import P, Plugin

if TYPE_CHECKING:
    import pyarrow as pa

    from ..schema.estimate import Estimate

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


class Filter(Plugin[P], ABC):
    """Keeps or drops rows, each drop with a reason.

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

    @abstractmethod
    def reasons(self, batch: pa.RecordBatch) -> Sequence[str | Drop | None]:
        """Return, for each row of the batch, None to keep it or why it goes."""


class Editor(Filter[P], ABC):
    """A filter that drops nothing and rewrites rows: it cuts, cleans or renders their text."""

    @abstractmethod
    def edit(self, batch: pa.RecordBatch, draw: Sequence[int]) -> pa.RecordBatch:
        """Return the same rows, in order and with their ids, with other values.

        `draw` has a number for each row, uniform in 0 <= n < 2**64, that depends on the seed and
        the row's id alone; it is empty unless the class says `seeded = True`.
        """

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


# ---- model ----------------------------------------------------------------------------------


class Quantizer(Plugin[P], ABC):
    """Says how the base weights are stored."""

    kind = "quantizer"

    @abstractmethod
    def config(self) -> Any | None:
        """Return a transformers quantization config, or None for full precision."""

    @abstractmethod
    def dtype(self) -> str:
        """Return the name of the torch dtype that the model computes in."""


class Adapter(Plugin[P], ABC):
    """Says which weights are trained."""

    kind = "adapter"

    @abstractmethod
    def config(self, model: Any) -> Any:
        """Return a peft config for this transformers model.

        Raises `StepError` when the model has no such modules.
        """


@dataclass(frozen=True)
class Progress:
    """How far a long step is; `note` is a short text such as a loss, `rate` is per second."""

    done: int
    total: int
    note: str = ""
    unit: str = "steps"
    rate: float | None = None


def ignore_progress(_: Progress) -> None:
    """Report nowhere."""


@dataclass(frozen=True)
class TrainingJob:
    """All that a runtime gets.

    Attributes:
        base: folder with the base weights and tokenizer files, verified; never written to.
        base_name: what to call the base in the adapter's config (a repository, never a path).
        train: packs, a table with `input_ids: list<int32>`, `labels: list<int32>` (-100 where
            the loss does not count, same length, not shifted), `lengths: list<int32>` (the
            samples of the pack in order; their sum is the length of `input_ids`).
        validation: the same, for rows held out; may have no rows.
        quantizer: how the base is stored.
        adapter: what is trained.
        seed: of everything random in training: adapter, order, dropout, noise.
        work: folder that survives a killed run: checkpoints live here, and a job that finds its
            own checkpoints goes on from the newest to the same bits.
        output: empty folder to write the adapter to, in peft's format.
        report: called after each optimizer step.
    """

    base: Path
    base_name: str
    train: pa.Table
    validation: pa.Table
    quantizer: Quantizer[Any]
    adapter: Adapter[Any]
    seed: int
    work: Path
    output: Path
    report: Callable[[Progress], None] = ignore_progress


@dataclass(frozen=True)
class TrainingResult:
    """What training gave beside the adapter's files.

    Attributes:
        metrics: numbers for the record (`eval_loss_before`, `eval_loss`, `train_loss`, ...);
            only what the same bits give again: no times.
        trace: one entry per optimizer step: step, loss, grad_norm, learning_rate, tokens and
            the digest of the batch.
        weights: digests of what training started from: `quantized` base and `initial` adapter.
        measured: times, rates and memory: what differs from machine to machine.
    """

    metrics: dict[str, float]
    trace: list[dict[str, Any]]
    weights: dict[str, str]
    measured: dict[str, float | str] = field(default_factory=dict)


class Runtime(Plugin[P], ABC):
    """Trains an adapter on packs of tokens."""

    kind = "runtime"
    seeded = True

    @classmethod
    def example_step(cls) -> dict[str, Any]:
        """Return a whole step, with the template that stands beside a runtime's parameters."""
        return {"use": cls.name, "template": {"use": "alpaca"}, **cls.example}

    @abstractmethod
    def train(self, job: TrainingJob) -> TrainingResult:
        """Train, write the adapter to `job.output`, and say what happened.

        Samples of a pack must not see one another. Raises `StepError`.
        """


@dataclass(frozen=True)
class EvaluationJob:
    """All that an evaluator gets; `adapter` is None for the base alone.

    `rows` has the held-out rows, with the columns of `khichdi.schema.rows`.
    """

    base: Path
    adapter: Path | None
    rows: pa.Table
    template: Template[Any]
    quantizer: Quantizer[Any]
    seed: int
    report: Callable[[Progress], None] = ignore_progress


@dataclass(frozen=True)
class EvaluationResult:
    """Metrics by name, and one prediction for each row that was used: id, prediction, scores."""

    metrics: dict[str, float]
    predictions: list[dict[str, Any]]


class Evaluator(Plugin[P], ABC):
    """Measures a model; the run calls it once with the base and once with the adapter."""

    kind = "evaluator"

    @abstractmethod
    def evaluate(self, job: EvaluationJob) -> EvaluationResult:
        """Return metrics and predictions. Raises `StepError`."""


# ---- rules ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Facts:
    """What a rule may look at: the declared facts of a bound recipe, and what it will take.

    Attributes:
        base: the base model's source parameters.
        base_license: SPDX id of the base model, or None where the recipe does not say.
        data_licenses: SPDX id of each data set by name, or None where the recipe does not say.
        data_sources: source parameters of each data set by name, its plugin as `use`.
        instruction_tuned: whether the base was tuned to follow instructions, as far as its name
            tells; None where it does not.
        estimate: gives the estimate for a device of the table by its name. None in a check
            that makes no estimates.
    """

    base: Mapping[str, Any]
    base_license: str | None
    data_licenses: Mapping[str, str | None]
    data_sources: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    instruction_tuned: bool | None = None
    estimate: Callable[[str], Estimate] | None = None


@dataclass(frozen=True)
class Breach:
    """A broken rule: what is wrong, the path in the recipe it is about, and what to change.

    A `warning` does not refuse the recipe: it says what is doubtful, or cannot be known yet.
    """

    message: str
    path: tuple[str | int, ...] = ()
    hint: str | None = None
    severity: Literal["error", "warning"] = "error"


class Rule(Plugin[P], ABC):
    """Checks a recipe against conditions from outside: licences, budgets, a challenge."""

    kind = "rule"

    @abstractmethod
    def breaches(self, facts: Facts) -> list[Breach]:
        """Return what breaks the rule; an empty list when it holds."""


KINDS: dict[str, type[Plugin[Any]]] = {
    base.kind: base
    for base in (
        Source,
        Reader,
        Filter,
        Scorer,
        Sampler,
        Template,
        Quantizer,
        Adapter,
        Runtime,
        Evaluator,
        Rule,
    )
}
"""Every kind by its name."""
