"""How fast light commands start, and each recipe that ships is checked, beside a bare Python.

    python benchmarks/startup.py [RUNS]

The second table leaves out one measure against slow starts at a time.
Whole processes, taken in turn; the least of all runs counts, in wall-clock and processor seconds.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time

from khichdi.project.bundled_recipes import shipped_recipes

COMMANDS = {
    "python": [sys.executable, "-c", "pass"],
    "python, pydantic": [sys.executable, "-c", "from pydantic import BaseModel"],
    "recipe --help": [sys.executable, "-m", "khichdi.cli", "--help"],
    "recipe hash quickstart": [sys.executable, "-m", "khichdi.cli", "hash", "quickstart"],
}

COMMAND = "from khichdi.cli.main import command; raise SystemExit(command())"
UNDONE = {
    "nothing left out": "",
    "models of named plugins only": (
        "from khichdi.plugins.registry import Registry\nRegistry.only = lambda self, names: self\n"
    ),
    "no search for pydantic's plugins": (
        "import os\nos.environ['PYDANTIC_DISABLE_PLUGINS'] = ''\n"
    ),
    "no collection at the end": "import gc\ngc.freeze = lambda: None\n",
}
"""Measures against slow starts, each with the Python that undoes it."""


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
    table("command", COMMANDS, runs)
    validated = ["validate", "quickstart"]
    print()
    table(
        "recipe validate quickstart, without",
        {name: [sys.executable, "-c", undo + COMMAND, *validated] for name, undo in UNDONE.items()},
        runs,
    )
    validate = [sys.executable, "-m", "khichdi.cli", "validate"]
    print()
    table("recipe validate", {p.stem: [*validate, p.stem] for p in shipped_recipes()}, runs)


def table(head: str, commands: dict[str, list[str]], runs: int) -> None:
    """Print what each command takes."""
    least = {name: (float("inf"), float("inf")) for name in commands}
    for _ in range(runs):
        for name, command in commands.items():
            least[name] = tuple(map(min, zip(least[name], timed(command), strict=True)))  # type: ignore[assignment]
    print(f"{head:<36}{'wall s':>9}{'cpu s':>9}")
    for name, (wall, used) in least.items():
        print(f"{name:<36}{wall:>9.3f}{used:>9.3f}")


if __name__ == "__main__":
    main()
