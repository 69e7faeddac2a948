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


@dataclass(frozen=True)
class SourceFile:
    """A fetched file: its path inside the source, and where its bytes lie."""

    path: str
    location: Path


class Reader(Plugin[P], ABC):
    """Turns bytes into rows."""

    kind = "reader"

    @abstractmethod
    def read(self, files: Sequence[SourceFile]) -> Iterator[pa.RecordBatch]:
        """Yield batches with any of the columns of `khichdi.schema.rows`, and `id` always.

        `id` is `<file path>#<number of the record in the file, from 0>`; the caller puts the
        data set's name before it, fills `source`, and fills columns left out with empty values.
        Files come sorted by path. Raises `StepError` naming file and line of a bad record.
        """


# ---- rows -----------------------------------------------------------------------------------


class Filter(Plugin[P], ABC):
    """Keeps or drops rows, each drop with a reason."""

    kind = "filter"

    @abstractmethod
    def reasons(self, batch: pa.RecordBatch) -> Sequence[str | None]:
        """Return, for each row of the batch, None to keep it or the reason to drop it.

        A reason is a short slug (`too-long`): it is counted in the record. Batches come in row
        order to one instance, so a filter over the whole set may keep state in itself.
        """


class Scorer(Plugin[P], ABC):
    """Gives each row a number, for samplers to draw by."""

    kind = "scorer"

    @abstractmethod
    def score(self, batch: pa.RecordBatch) -> Sequence[float]:
        """Return one finite number for each row of the batch."""


class Sampler(Plugin[P], ABC):
    """Chooses which rows of a data set go into the mixture."""

    kind = "sampler"
    seeded = True

    @abstractmethod
    def select(self, table: pa.Table, draw: Sequence[int]) -> Sequence[int]:
        """Return the positions of the rows to keep, in any order; the caller keeps row order.

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
