"""Every system call of every command failing once: what they say and leave behind.

    python -m tests.stress.faults [COUNT] [FOLDER] [SEED] [TRAININGS] [CALIBRATIONS]

COUNT (1,000) faults at random, or 0 for every one, which takes an hour. Then TRAININGS (0) faults
at random in what trains, each of which takes seconds, and CALIBRATIONS (0) in `recipe calibrate`,
whose trainings are done once before, in minutes. A workdir is made, and its recipe run once, before
all of them.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from ..flow.conftest import make_workdir
from ..helpers.miniature import make_base
from ..helpers.signing_keys import write_key
from .faultfs.faults import calibrating, campaign, commands, readers, signing, training
from .faultfs.forks import in_child


def main() -> int:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    where = sys.argv[2] if len(sys.argv) > 2 else memory
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 57
    trainings = int(sys.argv[4]) if len(sys.argv) > 4 else 0
    calibrations = int(sys.argv[5]) if len(sys.argv) > 5 else 0
    with tempfile.TemporaryDirectory(dir=where) as name:
        folder = Path(name)
        in_child(lambda: str(make_base(folder / "base")).encode())  # torch stays in the child
        workdir = make_workdir(folder / "workdir", folder / "base")
        run = Path(workdir.json("run", "pico.yaml")["run"]).name
        key, public = map(Path, write_key(folder, "key"))
        start = time.monotonic()
        chosen = [*commands(run), *readers(run), *signing(run, key, public)]
        tally = campaign(workdir.folder, chosen, count or None, folder / "scratch", seed)
        calibration = calibrating(run, folder / "kept")
        for more, several in ((training(run), trainings), (calibration, calibrations)):
            if several:
                tally.add(campaign(workdir.folder, more, several, folder / more[0].name, seed))
    for command, points in tally.points.items():
        print(f"{command:<18}{points:>5} calls{tally.tried[command]:>7} faults")
    seconds = time.monotonic() - start
    statuses = ", ".join(f"{n} with {status}" for status, n in sorted(tally.statuses.items()))
    total = tally.tried.total()
    print(f"{total:,} faults: {statuses}; {len(tally.wrong)} wrong, {total / seconds:.0f} a second")
    if tally.unmet:
        print(f"and {tally.unmet} at calls that did not come again")
    print("\n".join(tally.wrong[:40]))
    return 1 if tally.wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
