"""Calibrate audit tolerances: train a run again many times, and derive limits."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from ..runtime.store.atomic_io import write_atomically
from ..runtime.tempdirs import scratch_folder
from ..schema.calibration import Calibration
from ..schema.errors import InputError
from .audit_target import open_target, training_registry

Screen = Callable[[Path], AbstractContextManager[Callable[[str], None]]]
"""Given a log for the output of libraries, a context that yields where to report progress."""


@dataclass(frozen=True)
class Trainings:
    """How many trainings of each kind a calibration runs."""

    reruns: int = 5
    seeds: int = 5
    controls: int = 1

    def check(self) -> None:
        """Refuse too few.

        Raises:
            InputError: there are.
        """
        from ..runtime.calibration.calibration_file import FEWEST

        if min(self.reruns, self.seeds) < FEWEST or self.controls < 1:
            raise InputError(
                f"a calibration needs {FEWEST} reruns, {FEWEST} seeds and a control of each kind"
            )


@dataclass(frozen=True)
class CalibratedRun:
    """A calibration, its file, and why it cannot be used, if so."""

    calibration: Calibration
    file: Path
    lacks: list[str]


def calibrate_run(
    run: str | Path,
    trainings: Trainings,
    screen: Screen,
    *,
    output: str | Path | None = None,
    allow_local_plugins: bool = False,
    scratch: str | Path | None = None,
    store: str | Path | None = None,
) -> CalibratedRun:
    """Train a run again with other rounding, other seeds and deviations, and derive limits.

    Args:
        run: a run or bundle, as `open_target` takes it.
        trainings: how many of each kind.
        screen: what captures the output of libraries and shows the progress.
        output: the file to write; left out, in the run's folder, where bundles find it.
        allow_local_plugins: run the plugin files that the run or bundle contains.
        scratch: the folder for temporary files.
        store: the store's folder; left out, found as `store_folder` says.

    Raises:
        InputError: there is no such run, too few trainings, or no folder to write to.
        WorkError: a training failed.
    """
    from ..runtime.calibration.calibrate import Calibrator
    from ..runtime.calibration.calibration_file import FILE, lacks

    trainings.check()
    with open_target(run, store=store, scratch=scratch) as claim:
        if output is None and not (claim.folder / "record.json").is_file():
            raise InputError("this run has no folder to write to", hint="add --to FILE")
        registry = training_registry(claim, allow_local_plugins=allow_local_plugins)
        with (
            scratch_folder("calibrate", str(scratch) if scratch else None) as folder,
            screen(Path(folder) / "log.txt") as report,
        ):
            counts = trainings.reruns, trainings.seeds, trainings.controls
            found = Calibrator(claim, registry, Path(folder), report, *counts).make()
        file = Path(output) if output else claim.folder / FILE
        write_atomically(file, found.to_text())
    return CalibratedRun(found, file, lacks(found))
