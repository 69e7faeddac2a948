"""Kills at every point of store and executor where a file is changed, and at random times.

    python -m tests.stress.kills [COUNT] [FOLDER] [SEED]

Scenes are a first run, a run of what is there, a run after a kill, two runs at once, a clean-up
with a quota, and a repair. After each kill nothing done is lost, nothing torn is visible, and the
next run ends with the same digests. COUNT is 2,000; FOLDER is best on a file system in memory.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

from .faultfs.kills import campaign


def main() -> int:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    where = sys.argv[2] if len(sys.argv) > 2 else memory
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 57
    start = time.monotonic()
    with tempfile.TemporaryDirectory(dir=where) as folder:
        tally = campaign(count, Path(folder), seed, jobs=os.cpu_count() or 1)
    for scene, points in tally.points.items():
        print(f"{scene:<18}{points:>5} points{tally.kills[scene]:>7} kills")
    seconds = time.monotonic() - start
    print(
        f"{tally.kills.total():,} kills ({tally.ended} ended before), {len(tally.wrong)} wrong, "
        f"{tally.kills.total() / seconds:.0f} a second"
    )
    print("\n".join(tally.wrong[:20]))
    return 1 if tally.wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
