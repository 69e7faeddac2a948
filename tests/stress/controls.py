"""How often a calibrated audit is wrong: honest reruns rejected, and forgeries that pass.

    python -m tests.stress.controls [N] [RERUNS] [RUN_FOLDER]

A calibration is made from 5 reruns, 5 other seeds and one control of each kind. Then further reruns
under other settings, and further controls, none of which it has seen, are held against it. Every
control counts as if the forger had made plan, packs and trace fit: only the calibration decides.

RERUNS (20) are reruns with bits of their own; a machine has about 6 more than the calibration took,
so they are of several runs, each with a calibration of its own and its part of the N (10) controls
of each kind. RUN_FOLDER is a run in its store; without, miniatures are run first.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from pathlib import Path

from khichdi.plugins.registry import load_registry
from khichdi.runtime.audit.audited_run import open_claim
from khichdi.runtime.calibration.calibrate import Calibrator
from khichdi.runtime.calibration.calibration_file import FEWEST
from khichdi.runtime.calibration.forgeries import SEEN_BELOW
from khichdi.runtime.calibration.statistics import wilson
from khichdi.runtime.calibration.thresholds import derive, excess
from khichdi.schema.calibration import FORGERIES, RERUN, Calibrated, Calibration, Sample

OF_A_RUN = 6
"""Reruns of a run that its calibration has not seen."""

ROW = "{:<26}{:>6}{:>7}{:>8}  {:<18}{:<36}{}"


def main() -> int:
    words = [*sys.argv[1:], *["10", "20"][len(sys.argv[1:3]) :]]
    count, reruns = int(words[0]), int(words[1])
    seeds = range(-(-reruns // OF_A_RUN))
    tried: list[tuple[Sample, Calibrated]] = []
    for seed in seeds:
        with tempfile.TemporaryDirectory(prefix="controls-") as folder:
            run = Path(words[2]).resolve() if len(words) > 2 else miniature(Path(folder), seed)
            found = calibrated(run, Path(folder) / "scratch", -(-count // len(seeds)))
        known = derive([one for one in found.samples if seen(one)], found.answers)
        tried += [(one, known) for one in found.samples if not seen(one)]
        unused = [one.name for one in known.criteria if one.limit is None]
        print(f"run {seed + 1}: figures that are not used: {', '.join(unused) or 'none'}")
    return report(tried)


def calibrated(run: Path, scratch: Path, count: int) -> Calibration:
    """Return a calibration with further reruns and controls, to be held against the rest."""
    return Calibrator(
        open_claim(run, run.name, (run.parent.parent,)),
        load_registry(),
        scratch,
        lambda text: print(text, file=sys.stderr, flush=True),
        reruns=FEWEST + OF_A_RUN,
        seeds=FEWEST + count,
        controls=1 + count,
    ).make()


def miniature(folder: Path, seed: int) -> Path:
    """Run a recipe that takes seconds, and return its run."""
    from ..flow.conftest import make_workdir
    from ..helpers.miniature import make_base

    workdir = make_workdir(folder / "workdir", make_base(folder / "base"))
    workdir.edit("seed: 5", f"seed: {5 + seed}")
    return Path(workdir.json("run", "pico.yaml")["run"])


def seen(sample: Sample) -> bool:
    """Tell what a calibration is made of from what is held against it."""
    return sample.number < (FEWEST if sample.kind in (RERUN, "another seed") else 1)


def report(tried: list[tuple[Sample, Calibrated]]) -> int:
    """Print a table; exit status 1 where anything was judged wrongly."""
    print(ROW.format("claimed", "tried", "wrong", "rate", "95 % interval", "by", "also seen by"))
    passed: Counter[bool] = Counter()
    total = 0
    for kind in (RERUN, *FORGERIES):
        over = [excess(one, known) for one, known in tried if one.kind == kind]
        rejected = [{name for name, ratio in one.items() if not ratio <= 1} for one in over]
        wrong = sum(bool(one) == (kind == RERUN) for one in rejected)
        by = Counter(name for one in rejected for name in one)
        total += wrong
        name = "an honest rerun" if kind == RERUN else kind
        print(_row(name, wrong, len(over), by, SEEN_BELOW.get(kind, "")))
        if kind != RERUN:
            passed.update(not one for one in rejected)
    print(_row("all forgeries", passed[True], passed.total(), Counter(), ""))
    return int(bool(total))


def _row(name: str, wrong: int, count: int, by: Counter[str], seen_by: str) -> str:
    low, high = wilson(wrong, count)
    most = ", ".join(name for name, _ in by.most_common(3))
    interval = f"{low:.1%} to {high:.1%}"
    return ROW.format(name, count, wrong, f"{wrong / max(1, count):.1%}", interval, most, seen_by)


if __name__ == "__main__":
    raise SystemExit(main())
