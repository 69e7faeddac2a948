"""How fast commands find runs in a store of many, beside one with a single run.

    python benchmarks/many_runs.py [RUNS] [FOLDER]

Runs the quickstart, and adds so many (100,000) runs of the same record to its store, a minute
between them. Processor seconds of whole processes, taken in turn; the least of three counts.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

from khichdi.runtime.store.runs import MINUTE, RECORD

RECIPE = [sys.executable, "-m", "khichdi.cli"]
LINKS = 10_000
"""Names of one file: file systems have a limit."""


def add_runs(runs: Path, count: int) -> str:
    """Add runs of the one record that is there, each a minute older; return the oldest's name."""
    only = next(runs.iterdir())
    source, name = only / RECORD, only.name
    newest = datetime.strptime(name[: len("YYYY-MM-DD-HHMMZ")], MINUTE)
    for number in range(1, count + 1):
        name = f"{newest - timedelta(minutes=number):{MINUTE}}-quickstart"
        (runs / name).mkdir()
        if number % LINKS == 1:
            source = Path(shutil.copyfile(source, runs / name / RECORD))
        else:
            os.link(source, runs / name / RECORD)
    return name


def timed(words: list[str], environment: dict[str, str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([*RECIPE, *words], check=True, stdout=subprocess.DEVNULL, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def measure(newest: str, oldest: str, environment: dict[str, str]) -> dict[str, float]:
    """Return seconds by command."""
    commands = {
        "runs": ["runs"],
        "runs latest": ["runs", "latest"],
        "runs NAME": ["runs", oldest],
        "runs --before NAME": ["runs", "--before", oldest],
        "audit latest": ["audit", "latest"],
        "audit NAME": ["audit", newest],
        "plan quickstart": ["plan", "quickstart"],
        "run quickstart (cached)": ["run", "quickstart", "-q"],
    }
    rounds = [{k: timed(words, environment) for k, words in commands.items()} for _ in range(3)]
    return {name: min(each[name] for each in rounds) for name in commands}


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory(dir=sys.argv[2] if len(sys.argv) > 2 else None) as folder:
        store = Path(folder) / "store"
        environment = {**os.environ, "KHICHDI_STORE": str(store)}
        timed(["run", "quickstart", "-q"], environment)
        only = next((store / "runs").iterdir()).name
        alone = measure(only, only, environment)
        oldest = add_runs(store / "runs", count)
        many = measure(only, oldest, environment)
    print(f"{'recipe':<26}{'1 run':>9}{f'{count:,} runs':>16}   cpu s")
    for name in many:
        print(f"{name:<26}{alone[name]:>9.2f}{many[name]:>16.2f}")


if __name__ == "__main__":
    main()
