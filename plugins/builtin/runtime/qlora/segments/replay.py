"""Replay segments of a training from their saved states, with the training loop."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError
from safetensors.torch import load_file

from khichdi.plugins.kinds import (
    ContradictionError,
    Progress,
    Replay,
    ReplayedSegment,
    TrainingSegment,
)
from khichdi.plugins.toolkit.determinism import deterministic
from khichdi.plugins.toolkit.model_loading import quiet
from khichdi.schema.errors import StepError
from khichdi.schema.training_states import IN_TRACE, TRAINED, State

from ..acceleration.liger import modeling_put_back
from ..batches import MicroBatch, StepPlan, prepared
from ..environment import bits_depend_on
from ..loss_scale import LossScale
from ..optimizer import make_optimizer
from ..run import memory_and_disk
from ..trainer import NotFiniteError, Training
from . import segment_states as states
from .start_check import StateForm

if TYPE_CHECKING:
    import torch

    from khichdi.plugins.kinds import TrainingJob

    from ..params import QloraParams

OPTIMIZER = "optimizer"
"""The group of a state's tensors that the optimizer keeps."""


def run(params: QloraParams, job: TrainingJob, segments: Sequence[TrainingSegment]) -> Replay:
    """Execute segments again; see `Runtime.replay`. The model is loaded once for all."""
    params = params.model_copy(update={"report_to": ()})
    with (
        memory_and_disk(),
        quiet(),
        deterministic(params.cpu_threads, params.determinism),
        modeling_put_back(),
    ):
        replayer = _Replayer(params, job)
        total = sum(segment.last - segment.first + 1 for segment in segments)
        done, found = 0, []
        for segment in segments:
            found.append(replayer.replay(segment, done, total))
            done += segment.last - segment.first + 1
        trainee = replayer.training.trainee
        return Replay(
            segments=found,
            weights=trainee.digests,
            ends=tuple(sorted(replayer.training.ends)),
            steps=replayer.training.ending.known(),
            measured={"device": bits_depend_on(trainee.device)["device"]},
        )


class _Replayer:
    """A training that is put back to where each segment starts."""

    def __init__(self, params: QloraParams, job: TrainingJob) -> None:
        self.params, self.job = params, job
        self.training = Training(params, job)
        self.start = self.training.trainee.snapshot()
        self.form = StateForm(self.training)

    def replay(self, segment: TrainingSegment, done: int, total: int) -> ReplayedSegment:
        """Execute one segment; `done` of `total` steps were executed before it."""
        training = self.training
        if segment.last > len(training.plans):
            raise ContradictionError(
                f"the training is claimed to have taken {segment.last} steps, the recipe has "
                f"{len(training.plans)}"
            )
        work = self.job.work / f"from-{segment.first:08d}"
        training.job = replace(self.job, work=work)
        self._put_back(segment)
        plans = training.plans[segment.first - 1 : segment.last]
        groups = [plan.micro for plan in plans]
        adapter: Path | None = None
        workers = self.params.dataloader_num_workers
        with closing(prepared(training.train, groups, workers)) as batches:
            for plan, micro in zip(plans, batches, strict=True):
                last = plan.step == segment.last
                self._take_step(plan, micro, last and segment.final)
                if plan.step == segment.adapter_step:
                    adapter = self.job.output / f"adapter-{plan.step:08d}"
                    training.trainee.write(adapter, self.job.base_name)
                ends = plan.step in training.ends or (last and segment.final)
                if ends or last:
                    training.keep_state(files=last)
                if last and not ends:  # the claimed training was divided in another way
                    del training.trace[-1][IN_TRACE]
                note = f"segment from step {segment.first}"
                taken = done + plan.step - segment.first + 1
                self.job.report(Progress(taken, total, note=note))
        state = training.states[-1]
        return ReplayedSegment(
            trace=training.trace,
            state=state.model_copy(update={"kept": not segment.final}),
            folder=work / states.STATES / state.folder,
            adapter=adapter,
        )

    def _take_step(self, plan: StepPlan, micro: list[MicroBatch], last: bool) -> None:
        try:
            self.training.take_step(plan, micro)
            self.training.evaluate_if_due(plan, last)
        except NotFiniteError as error:  # the claimed training went on from there
            raise ContradictionError(f"it cannot have gone on: {error.message}") from None

    def _put_back(self, segment: TrainingSegment) -> None:
        """Restore weights, optimizer and trace to the start of the segment."""
        training, trainee = self.training, self.training.trainee
        training.optimizer = make_optimizer(self.params, trainee.names, trainee.trained)
        training.step = segment.first - 1
        training.trace, training.losses, training.best = [], {}, None
        training.scale = LossScale() if self.params.loss_scaling else None
        if segment.state is None or segment.folder is None:
            trainee.restore(self.start)
            return
        state = segment.state
        if {TRAINED, OPTIMIZER} != state.tensors.keys():
            groups = ", ".join(sorted(state.tensors)) or "no tensors"
            raise ContradictionError(f"{_refused(state)}: it has {groups}, not the optimizer's")
        adapter, optimizer = (_read(segment.folder, name) for name in (TRAINED, OPTIMIZER))
        misfit = self.form.misfit(state, adapter, optimizer)
        if misfit is not None:
            raise ContradictionError(f"{_refused(state)}: {misfit}")
        try:
            trainee.restore(adapter)
            training.put_back(optimizer, dict(state.numbers))
        except RuntimeError as error:  # the device's memory may be full
            raise StepError(f"{_refused(state)}: {error}") from error


def _refused(state: State) -> str:
    return f"the state after step {state.step} is not one of this training"


def _read(folder: Path, group: str) -> dict[str, torch.Tensor]:
    try:
        tensors: dict[str, torch.Tensor] = load_file(folder / f"{group}.safetensors")
    except SafetensorError as error:
        raise ContradictionError(f"the state in {folder.name} is not one: {error}") from None
    except OSError as error:
        raise StepError(f"the state in {folder.name} cannot be read: {error}") from error
    return tensors
