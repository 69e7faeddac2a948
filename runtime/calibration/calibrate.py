"""Calibrate from a run: train honestly and not, compare, and derive the tolerances."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ...plugins.registry import Registry
from ...schema.audit import LARGEST
from ...schema.calibration import FORGERIES, RERUN, Calibration, Sample
from ...schema.errors import InputError, KhichdiError, StepError
from ..adapter_files import adapter_digest
from ..audit.audited_run import Claim
from .calibration_file import FEWEST, brought, claimed_training, panel_of, training_step
from .cpu_kernels import HERE, Setting, settings
from .lowrank import compare
from .probes import Probe
from .statistics import curve, measure, of_segments, scores
from .thresholds import derive
from .trained_model import TrainedModel, read_training
from .worker import WorkerJob, start

Say = Callable[[str], None]


@dataclass
class Calibrator:
    """Makes the calibration of a run.

    Attributes:
        claim: the run, with its stores.
        registry: the installed plugins.
        scratch: a folder for trainings.
        say: receives a line of progress for each training.
        reruns: honest reruns with results of their own that are wanted.
        seeds: trainings with another seed.
        controls: trainings of each other kind.
    """

    claim: Claim
    registry: Registry
    scratch: Path
    say: Say
    reruns: int = FEWEST
    seeds: int = FEWEST
    controls: int = 1
    honest: list[tuple[Setting, TrainedModel]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.claim.plan is None:
            raise InputError("only the record of this run is here; a calibration needs its plan")
        self.plan = self.claim.plan
        self.train = training_step(self.claim)
        self.recorded = {step.name: step for step in self.claim.record.steps}
        self.run = claimed_training(self.claim)

    def make(self) -> Calibration:
        """Run the trainings, compare them, and derive the limits.

        Raises:
            InputError: the run's artifacts or substitutes for other hardware are not here.
            StepError: a training failed.
        """
        self._rerun()
        forged = list(self._forge())
        pairs = [(RERUN, number, setting, self.run, derived)
                 for number, (setting, derived) in enumerate(self.honest)]  # fmt: skip
        for kind, number, setting, claimed in forged:
            derived = self.honest[(number + 1) % len(self.honest)][1]
            pairs.append((kind, number, setting, claimed, derived))
        panel = panel_of(self.claim, self.registry, brought(self.claim))
        self.say(f"putting {len(panel.probes)} samples to {len(pairs) + 1} adapters")
        try:
            said = panel.compare([(c.adapter, d.adapter) for *_, c, d in pairs])
            samples = tuple(
                _sample(*pair, answers) for pair, answers in zip(pairs, said, strict=True)
            )
        except (KhichdiError, OSError):
            raise
        except Exception as error:  # an error of peft or torch on modified files
            raise StepError(
                f"the trainings cannot be compared: {type(error).__name__}: {error}",
                hint="see whether the run is whole: `recipe store verify`; then calibrate again",
            ) from error
        return self._document(samples, panel.probes)

    def _document(self, samples: tuple[Sample, ...], probes: list[Probe]) -> Calibration:
        record, answers = self.claim.record, sum(len(probe.places) for probe in probes)
        return Calibration(
            recipe=record.recipe,
            recipe_hash=record.recipe_hash,
            result_hash=record.result_hash,
            runtime=self.train.plugin.name,
            version=self.train.plugin.version,
            device=self._device(),
            probes=len(probes),
            answers=answers,
            samples=samples,
            found=derive(samples, answers),
        )

    # ---- trainings --------------------------------------------------------------------------

    def _device(self) -> str:
        return str(self.recorded[self.train.name].result.measured.get("device") or "")

    def _rerun(self) -> None:
        """Rerun under one setting after the other, until enough came to results of their own."""
        seen = {adapter_digest(self.run.adapter)}
        ref = self.train.plugin
        runtime = self.registry.create(ref.kind, ref.name, ref.params)
        found = settings(self._device(), runtime)
        for number, setting in enumerate(found):
            if len(self.honest) == self.reruns or number == 2 * self.reruns + FEWEST:
                break
            self.say(f"rerun {len(self.honest) + 1} of {self.reruns}: {setting.name}")
            (training,) = self._do(f"rerun-{number}", setting, [(RERUN, number)])
            digest = adapter_digest(training.adapter)
            if digest in seen:
                self.say("  the same bits as before: it does not count")
                continue
            seen.add(digest)
            self.honest.append((setting, training))
        if len(self.honest) < min(self.reruns, FEWEST):
            raise InputError(
                f"only {len(self.honest)} settings of this machine changed the bits, "
                f"{FEWEST} are needed to measure the spread of honest reruns",
                hint="calibrate on a machine with other hardware",
            )

    def _forge(self) -> Iterator[tuple[str, int, Setting, TrainedModel]]:
        """Yield controls: the first of each kind, and all seeds, on this machine as it is."""
        for number in range(self.controls):
            setting = HERE if number == 0 else self.honest[(number - 1) % len(self.honest)][0]
            tasks = [(kind, number) for kind in FORGERIES if number == 0 or kind != FORGERIES[0]]
            if number == 0:
                tasks += [(FORGERIES[0], seed) for seed in range(1, max(self.seeds, self.controls))]
            more = f" and {len(tasks) - 1} more" if len(tasks) > 1 else ""
            self.say(f"controls {number + 1}: {tasks[0][0]}{more}")
            made = self._do(f"controls-{number}", setting, tasks)
            for (kind, own), training in zip(tasks, made, strict=True):
                yield kind, own, setting, training

    def _do(self, name: str, setting: Setting, tasks: list[tuple[str, int]]) -> list[TrainedModel]:
        job = WorkerJob(
            run=str(self.claim.folder.resolve()),
            stores=[str(store.resolve()) for store in self.claim.stores],
            scratch=str((self.scratch / name).resolve()),
            setting=setting,
            tasks=tasks,
        )
        start(job, dict(os.environ))
        return [read_training(job.place(*task)) for task in tasks]


def _sample(
    kind: str,
    number: int,
    setting: Setting,
    claimed: TrainedModel,
    derived: TrainedModel,
    answers: dict[str, float],
) -> Sample:
    trained = derived if kind == RERUN else claimed
    values = compared(claimed, derived, answers) | of_segments(trained.errors)
    return Sample(
        kind=kind,
        number=number,
        setting=setting.name,
        adapter=adapter_digest(trained.adapter),
        curve=tuple(_rounded(value) for value in curve(claimed, derived)),
        values={name: _rounded(value) for name, value in values.items()},
    )


def compared(
    claimed: TrainedModel, derived: TrainedModel, answers: dict[str, float]
) -> dict[str, float]:
    """Return every figure of two whole trainings, but for what needs an envelope."""
    found = measure(claimed, derived) | updated(claimed.adapter, derived.adapter)
    found |= {f"t5.{name}": value for name, value in answers.items()}
    return found | scores(claimed, derived)


def updated(claimed: Path, derived: Path) -> dict[str, float]:
    """Return the figures of the updates that two adapters make, where both are s B A."""
    found = compare(claimed, derived) or {}
    return {f"t4.{name}": value for name, value in found.items()}


def _rounded(value: float) -> float:
    if not math.isfinite(value):
        return math.copysign(LARGEST, value)
    return float(f"{value:.6g}")
