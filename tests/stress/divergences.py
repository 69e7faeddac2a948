"""Whether an audit names each of many divergences exactly: level, step, and place.

    python -m tests.stress.divergences RUN_FOLDER [COUNT] [SEED]

Each changes one thing of a run, at every level, and makes everything that can be made to agree
agree with it. Some only execution can find. COUNT of all that are known are drawn, as many of each
level as there are; those that are executed are all among them. The run's folder is in a store,
which is copied first.
"""

from __future__ import annotations

import random
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

from khichdi.runtime.audit.audited_run import open_claim
from khichdi.schema.audit import LEVELS

from .cases.divergences import chosen, injections
from .cases.file_changes import Pristine
from .cases.injections import audited


def main() -> int:
    run = Path(sys.argv[1]).resolve()
    count, seed = (int(word) for word in [*sys.argv[2:], *("200", "57")[len(sys.argv) - 2 :]])
    tried: Counter[tuple[str, bool]] = Counter()
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        shutil.copytree(run.parent.parent, store, symlinks=True)
        claim = open_claim(store / "runs" / run.name, "run", (store,))
        pristine = Pristine(store, Path(folder) / "pristine")
        for one in chosen(injections(claim, seed), count, random.Random(seed)):
            one.inject()
            said = audited(claim, one)
            tried[one.level, one.executed] += 1
            if said is not None:
                wrong.append(f"{one.what}: {said}; expected {one.level}: {one.where}")
            pristine.restore()
    for level in LEVELS:
        hashed, executed = tried[level, False], tried[level, True]
        print(f"{level:<20}{hashed:>5} by documents and bytes{executed:>5} by execution")
    print(f"{tried.total()} divergences, {tried.total() - len(wrong)} named exactly")
    print("\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
