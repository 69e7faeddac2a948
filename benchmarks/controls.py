"""How often a calibrated audit is wrong: honest reruns rejected, and forgeries that pass.

    python benchmarks/controls.py [N] [RERUNS] [RUN_FOLDER]

A calibration is made from 5 reruns, 5 other seeds and one control of each kind. Then RERUNS (20)
further reruns under other settings, and N (10) further controls of each kind, none of which it has
seen, are held against it. Every control counts as if the forger had made plan, packs and trace fit:
only the calibration decides. RUN_FOLDER is a run in its store; without, a miniature is run first.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "helpers"))
sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from khichdi.plugins.registry import load_registry
from khichdi.runtime.audit.claim import open_claim
from khichdi.runtime.audit.tolerance.calibration import Calibrator
from khichdi.runtime.audit.tolerance.controls import KINDS, SEEN_BELOW
from khichdi.runtime.audit.tolerance.reading import FEWEST
from khichdi.runtime.audit.tolerance.statistics import wilson
from khichdi.runtime.audit.tolerance.thresholds import derive, excess
from khichdi.runtime.audit.tolerance.worker import RERUN
from khichdi.schema.calibration import Calibrated, Calibration, Sample

ROW = "{:<26}{:>6}{:>7}{:>8}  {:<18}{:<36}{}"


def main() -> int:
    words = [*sys.argv[1:], *["10", "20"][len(sys.argv[1:3]) :]]
    count, reruns = int(words[0]), int(words[1])
    with tempfile.TemporaryDirectory(prefix="controls-") as folder:
        run = Path(words[2]).resolve() if len(words) > 2 else miniature(Path(folder))
        claim = open_claim(run, run.name, (run.parent.parent,))
        found = Calibrator(
            claim,
            load_registry(),
            Path(folder) / "scratch",
            lambda text: print(text, file=sys.stderr, flush=True),
            reruns=FEWEST + reruns,
            seeds=FEWEST + count,
            controls=1 + count,
        ).make()
    known = [sample for sample in found.samples if seen(sample)]
    return report(found, derive(known, found.answers))


def miniature(folder: Path) -> Path:
    """Run a recipe that takes seconds, and return its run."""
    from flow.conftest import make_kitchen
    from miniature import make_base

    kitchen = make_kitchen(folder / "kitchen", make_base(folder / "base"))
    if shutil.which("nice"):
        os.nice(5)
    return Path(kitchen.json("run", "pico.yaml")["run"])


def seen(sample: Sample) -> bool:
    """Tell what the calibration is made of from what is held against it."""
    first = 1 if sample.kind not in (RERUN, "another seed") else FEWEST
    return sample.number < first


def report(found: Calibration, limits: Calibrated) -> int:
    """Print a table; exit status 1 where anything was judged wrongly."""
    print(ROW.format("claimed", "tried", "wrong", "rate", "95 % interval", "by", "also seen by"))
    wrong = 0
    for kind in (RERUN, *KINDS):
        samples = [one for one in found.samples if one.kind == kind and not seen(one)]
        over = [excess(one, limits) for one in samples]
        rejected = [{name for name, ratio in one.items() if not ratio <= 1} for one in over]
        misses = sum(bool(one) if kind == RERUN else not one for one in rejected)
        wrong += misses
        low, high = wilson(misses, len(samples))
        by = Counter(name for one in rejected for name in one)
        most = ", ".join(name for name, _ in by.most_common(3))
        rate = f"{misses / max(1, len(samples)):.1%}"
        interval = f"{low:.1%} to {high:.1%}"
        print(
            ROW.format(
                "an honest rerun" if kind == RERUN else kind,
                len(samples), misses, rate, interval, most, SEEN_BELOW.get(kind, "")
            )
        )  # fmt: skip
    controls = [one for one in found.samples if one.kind != RERUN and not seen(one)]
    missed = sum(not any(r > 1 for r in excess(one, limits).values()) for one in controls)
    low, high = wilson(missed, len(controls))
    print(f"\nforgeries that pass: {missed} of {len(controls)}, {low:.1%} to {high:.1%}")
    unused = [one.name for one in limits.criteria if one.limit is None]
    print(f"figures that are not used: {', '.join(unused) or 'none'}")
    return int(bool(wrong))


if __name__ == "__main__":
    raise SystemExit(main())
