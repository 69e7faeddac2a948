"""Power losses, simulated: states of the disk with unsynced writes dropped, cut and reordered.

    python -m tests.stress.power [COUNT] [FOLDER] [SEED]

What store, runs and checkpoints do on disk is traced once; each state is what the disk may hold
after a loss at some instant of it. In each the store opens, all that was promised is there with
every byte, and nothing torn is visible. COUNT is 10,000; FOLDER is best in memory.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from .faultfs.losses import campaign


def main() -> int:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    where = sys.argv[2] if len(sys.argv) > 2 else memory
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 57
    start = time.monotonic()
    with tempfile.TemporaryDirectory(dir=where) as folder:
        tally = campaign(count, Path(folder), seed)
    for scene, operations in tally.operations.items():
        print(f"{scene:<18}{operations:>5} operations{tally.states[scene]:>8} states")
    seconds = time.monotonic() - start
    total = tally.states.total()
    print(f"{total:,} states, {len(tally.wrong)} wrong, {total / seconds:.0f} a second")
    print("\n".join(tally.wrong[:20]))
    return 1 if tally.wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
