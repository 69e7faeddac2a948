"""How fast light commands start, beside a bare Python and Python with pydantic.

    python benchmarks/startup.py [RUNS]

Whole processes, taken in turn; the least of all runs counts, in wall-clock and processor seconds.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time

COMMANDS = {
    "python": [sys.executable, "-c", "pass"],
    "python, pydantic": [sys.executable, "-c", "from pydantic import BaseModel"],
    "recipe --help": [sys.executable, "-m", "khichdi.cli", "--help"],
    "recipe validate quickstart": [sys.executable, "-m", "khichdi.cli", "validate", "quickstart"],
    "recipe validate birbal-200k": [sys.executable, "-m", "khichdi.cli", "validate", "birbal-200k"],
    "recipe hash quickstart": [sys.executable, "-m", "khichdi.cli", "hash", "quickstart"],
}


def timed(command: list[str]) -> tuple[float, float]:
    """Return wall-clock and processor seconds of one process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return wall, used


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    least = {name: (float("inf"), float("inf")) for name in COMMANDS}
    for _ in range(runs):
        for name, command in COMMANDS.items():
            wall, used = timed(command)
            least[name] = min(least[name][0], wall), min(least[name][1], used)
    bare = least["python"][0]
    print(f"{'command':<30}{'wall s':>9}{'cpu s':>9}{'x python':>10}")
    for name, (wall, used) in least.items():
        print(f"{name:<30}{wall:>9.3f}{used:>9.3f}{wall / bare:>10.1f}")


if __name__ == "__main__":
    main()
