"""The kind that trains an adapter, and executes parts of a training again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ...schema.device import Device
from ...schema.errors import StepError
from ..base import P, Plugin
from .adapter import Adapter
from .breach import Breach
from .launch import Launch
from .progress import Progress, ignore_progress
from .quantizer import Quantizer
from .workload import Account, AccountError, BaseSupport, Schedule, Work, Workload

if TYPE_CHECKING:
    import pyarrow as pa

    from ...schema.training_states import State, States


@dataclass(frozen=True)
class TrainingJob:
    """Inputs of a runtime.

    Attributes:
        base: folder with the base weights and tokenizer files, verified; never written to.
        base_name: what to call the base in the adapter's config (a repository, never a path).
        train: packs, a table with `input_ids: list<int32>`, `labels: list<int32>` (-100 where
            the loss does not count, same length, not shifted), `lengths: list<int32>` (the
            samples of the pack in order; their sum is the length of `input_ids`), and in a run
            `ids: list<string>`, the rows that are in it, for errors to name.
        validation: the same, for rows held out; may have no rows.
        quantizer: how the base is stored.
        adapter: what is trained.
        seed: of everything random in training: adapter, order, dropout, noise.
        work: folder that survives a killed run: checkpoints live here, and a job that finds its
            own checkpoints resumes from the newest, bit-identically.
        output: empty folder to write the adapter to, in peft's format.
        report: called after each optimizer step.
        launch: the processes to divide the training over; None: it stays in this one. Only
            runtimes that set `launches` are given some. The result must not depend on it.
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
    launch: Launch | None = None


@dataclass(frozen=True)
class TrainingResult:
    """Results of a training beside the adapter's files.

    Attributes:
        metrics: numbers for the record (`eval_loss_before`, `eval_loss`, `train_loss`, ...);
            only what the same bits give again: no times.
        trace: one entry per optimizer step: step, loss, grad_norm, learning_rate, tokens and
            the digest of the batch.
        weights: digests of what training started from: `quantized` base and `initial` adapter.
        measured: times, rates and memory: what differs from machine to machine.
        stopped: where training ended before its last step: `by` which parameter, after which
            `step`, `of` how many; and, where a rerun would end elsewhere (a clock), `again`: the
            parameters to change for it to end there.
        states: the states at the ends of its segments, from which each can be executed again;
            their digests are in the trace as `state`. None where the runtime keeps none.
        states_folder: where the files of those states are, below `work`.
    """

    metrics: dict[str, float]
    trace: list[dict[str, Any]]
    weights: dict[str, str]
    measured: dict[str, float | str] = field(default_factory=dict)
    stopped: dict[str, Any] | None = None
    states: States | None = None
    states_folder: Path | None = None


class ContradictionError(StepError):
    """What was asked of a step contradicts its inputs, on any machine.

    Such as a module that the base does not have, or a training longer than its recipe allows. An
    audit takes it as proof that the claimed result is not one of this recipe. Where only something
    here is missing (memory, a device, a package), raise `StepError`.
    """


@dataclass(frozen=True)
class TrainingSegment:
    """A part of a training, to be executed again.

    Attributes:
        first: its first optimizer step, from 1.
        last: its last one.
        final: whether the training ended with it.
        state: the state that it starts from; None for the first, which starts as training does.
        folder: where that state's tensors are: `<group>.safetensors`; read-only.
        adapter_step: a step of it whose adapter is asked for, or None.
    """

    first: int
    last: int
    final: bool
    state: State | None = None
    folder: Path | None = None
    adapter_step: int | None = None

    @classmethod
    def of(cls, states: States, number: int, files: Path) -> TrainingSegment:
        """Return a training's segment, numbered from 1; `files` is where its states are."""
        first, last = states.segments()[number - 1]
        before = states.bounds[number - 2] if number > 1 else None
        return cls(
            first=first,
            last=last,
            final=number == len(states.bounds),
            state=before,
            folder=files / before.folder if before else None,
            adapter_step=states.adapter_step if first <= states.adapter_step <= last else None,
        )


@dataclass(frozen=True)
class ReplayedSegment:
    """Results of a replayed segment.

    Attributes:
        trace: an entry per step, as in `TrainingResult`: with the digest of the state where a
            segment of the whole training ends, and nowhere else.
        state: the state that it ended in.
        folder: where that state's tensors are, below `work`; None where they were not written.
        adapter: the folder of the adapter that was asked for.
    """

    trace: list[dict[str, Any]]
    state: State
    folder: Path | None = None
    adapter: Path | None = None


@dataclass(frozen=True)
class Replay:
    """Segments executed again, in the order asked for, and what training starts from here.

    `weights` and `measured` (its `device`) are as in `TrainingResult`. `ends` are the steps after
    which the whole training keeps its state, wherever it is ended; `steps` is how many it takes,
    None where a clock or a loss may end it before.
    """

    segments: list[ReplayedSegment]
    weights: dict[str, str]
    ends: tuple[int, ...] | None = None
    steps: int | None = None
    measured: dict[str, float | str] = field(default_factory=dict)


class Runtime(Plugin[P], ABC):
    """Trains an adapter on packs of tokens.

    Attributes:
        launches: whether it can divide a training over several processes.
    """

    kind = "runtime"
    seeded = True
    launches: ClassVar[bool] = False

    @classmethod
    def example_step(cls) -> dict[str, Any]:
        """Return a whole step, with the template beside a runtime's parameters."""
        return {"use": cls.name, "template": {"use": "alpaca"}, **cls.example}

    # ---- before a training ------------------------------------------------------------------

    def varies_by(self) -> str | None:
        """Return the setting, as `name: value`, that lets the same training end in other bits.

        None, as here, promises the same bits again on the same kind of machine.
        """
        return None

    def schedule(self) -> Schedule | None:
        """Return the length of a training; None, as here, where the parameters do not decide it."""
        return None

    def account(self, workload: Workload) -> Account:
        """Return the memory, arithmetic and disk that a training takes.

        Raises `AccountError` where that is not known, as here: estimates then say so.
        """
        raise AccountError(f"there is no account of runtime `{self.name}`")

    def seconds(self, workload: Workload, device: Device, work: Work) -> float | None:
        """Return how long so much work takes on a device; None where that is not known."""
        return None

    def base_support(
        self, config: Mapping[str, Any], quantizer: Quantizer[Any]
    ) -> BaseSupport | None:
        """Return how a base is trained, or why it is not; None, as here, where that is not known.

        Asked before anything of the base but its `config.json` is read.
        """
        return None

    def contradictions(self, sample_packing: bool, validation: bool) -> list[Breach]:
        """Return parameters that mean nothing beside settings of the recipe.

        Paths start at `train`. A breach at a parameter that the recipe does not write is not
        reported: defaults have to go with anything.

        Args:
            sample_packing: whether several samples share a pack.
            validation: whether rows are held out.
        """
        return []

    @classmethod
    def rate_params(cls) -> frozenset[str]:
        """Return the parameters that the tokens trained in a second depend on; here, all.

        A rate that was measured is taken for another training with the same values.
        """
        return frozenset(cls.params_model.model_fields)

    # ---- for audits -------------------------------------------------------------------------

    def with_learning_rate(self, factor: float) -> dict[str, Any] | None:
        """Return parameters with so many times the learning rate; None: there is none.

        A calibration trains with it, to see that an audit rejects what comes out.
        """
        return None

    def with_length(self, steps: int, by: int) -> dict[str, Any] | None:
        """Return parameters of a training an epoch, or a third, longer (1) or shorter (-1).

        Asked by a calibration; `steps` is how many the training took. None: there are none.
        """
        return None

    def rounded_otherwise(self, gpu: bool) -> list[dict[str, dict[str, Any]]]:
        """Return parameters that change how results are rounded, and nothing that is meant.

        They simulate other hardware in a calibration. Each dictionary is of choices that exclude
        one another, by a name for people.
        """
        return []

    # ---- training ---------------------------------------------------------------------------

    @abstractmethod
    def train(self, job: TrainingJob) -> TrainingResult:
        """Train, write the adapter to `job.output`, and return the result.

        Samples of a pack must not see one another. Raises `StepError`.
        """

    def metrics_of(self, trace: list[dict[str, Any]]) -> dict[str, float]:
        """Return the metrics that follow from the trace alone, by the names that `train` gives.

        An audit recomputes them without training; the others are reported as claimed.
        """
        return {}

    def replay(self, job: TrainingJob, segments: Sequence[TrainingSegment]) -> Replay:
        """Execute parts of a training again, each from the state that it started from.

        A runtime whose trainings keep states can have any part of one audited. `job` is the
        training's own, with an empty `work`; adapters go to folders below `job.output`.
        Raises `StepError`, as here, where the runtime cannot, and `ContradictionError` where the
        recipe takes other steps than the claim.
        """
        raise StepError(
            f"the runtime `{self.name}` cannot execute a part of a training again",
            hint="audit with --rerun, which trains from the start",
        )
