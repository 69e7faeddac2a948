"""Whether training gives one result: run often, killed at random moments, resumed everywhere.

    python benchmarks/strict.py [RUNS] [KILLS] [SEED]

Trains an epoch of the quickstart, each time from the command line, in a store of its own and
otherwise surrounded: another hash seed, time zone, umask, folder, number of data workers and of
threads that the environment asks for. Then kills as many runs at a random moment of their training
and runs them again; then goes on from every single checkpoint of one run.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

AT_ONCE = 2
COMMAND = (sys.executable, "-m", "khichdi.cli", "run", "quickstart", "--set", "train.num_epochs=1")
EVERY = ("--set", "train.save_steps=1", "--set", "train.save_total_limit=1000")


class Place:
    """A folder with a store of its own, and an environment drawn by chance."""

    def __init__(self, folder: Path, draw: random.Random) -> None:
        self.folder = folder
        self.store = folder / "store"
        folder.mkdir(parents=True)
        self.settings = ("--set", f"train.dataloader_num_workers={draw.randint(0, 3)}")
        self.umask = draw.choice([0o022, 0o077])
        self.environment = {
            **os.environ,
            "KHICHDI_STORE": str(self.store),
            "PYTHONHASHSEED": str(draw.randint(0, 9999)),
            "TZ": draw.choice(["UTC", "Asia/Kolkata", "America/Lima"]),
            "OMP_NUM_THREADS": draw.choice(["1", "2", "5"]),
        }

    def start(self, *more: str) -> subprocess.Popen[str]:
        """Begin a run."""
        return subprocess.Popen(
            [*COMMAND, *self.settings, *more, "--json"],
            cwd=self.folder,
            env=self.environment,
            umask=self.umask,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *more: str) -> dict[str, Any]:
        """Run to the end, and return what the command says."""
        process = self.start(*more)
        out, said = process.communicate()
        if process.returncode:
            raise SystemExit(f"a run ended with status {process.returncode}:\n{said[-2000:]}")
        document: dict[str, Any] = json.loads(out)
        return document

    def checkpoints(self) -> list[Path]:
        """Return the whole checkpoints that there are now, the oldest first."""
        return sorted(self.store.glob("work/*/step-*"))


def again(place: Place) -> str:
    return str(place.run()["result_hash"])


def killed(place: Place, key: str, at: float) -> tuple[str, int]:
    """Kill a run when its training step has gone on for so many seconds, and run it again.

    Returns:
        The result hash, and the number of checkpoints that the kill left.
    """
    process = place.start("--set", "train.save_steps=1")
    work = place.store / "work" / key.removeprefix("sha256:")
    while not work.exists() and process.poll() is None:
        time.sleep(0.02)
    time.sleep(at)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    found = place.checkpoints()
    last = int(found[-1].name.removeprefix("step-")) if found else 0
    return str(place.run("--set", "train.save_steps=1")["result_hash"]), last


def kept(place: Place, into: Path) -> tuple[dict[str, Any], list[Path]]:
    """Run once, and keep a copy of each checkpoint as it appears."""
    into.mkdir()
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            for folder in place.checkpoints():
                copy = into / folder.name
                if not copy.exists():
                    shutil.copytree(folder, copy)
            time.sleep(0.01)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        document = place.run(*EVERY)
    finally:
        done.set()
        watcher.join()
    return document, sorted(into.iterdir())


def resumed(origin: Place, place: Place, key: str, checkpoint: Path) -> str:
    """Go on from one checkpoint, in a copy of a store that has all but the training."""
    shutil.copytree(origin.store, place.store, symlinks=True)
    (place.store / "steps" / f"{key.removeprefix('sha256:')}.json").unlink()
    work = place.store / "work" / key.removeprefix("sha256:")
    shutil.copytree(checkpoint, work / checkpoint.name)
    document = place.run(*EVERY)
    status = {step["kind"]: step["status"] for step in document["steps"]}
    assert status["runtime"] == "ran", "the training was not done again"
    return str(document["result_hash"])


def all_of(work: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(work, items))


def main() -> int:
    runs, kills, seed = (int(w) for w in [*sys.argv[1:], *("20", "20", "57")[len(sys.argv) - 1 :]])
    draw = random.Random(seed)
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        places = [Place(root / f"run-{n}" / ("x" * n), draw) for n in range(runs)]
        hashes = Counter(all_of(again, places))
        print(f"{runs} strict runs: {len(hashes)} result hash ({', '.join(hashes)})", flush=True)

        origin = Place(root / "origin", draw)
        document, checkpoints = kept(origin, root / "checkpoints")
        trained = next(step for step in document["steps"] if step["kind"] == "runtime")
        key = trained["key"]
        moments = [draw.uniform(0, trained["seconds"]) for _ in range(kills)]
        places = [Place(root / f"kill-{n}", draw) for n in range(kills)]
        found = all_of(
            lambda pair: killed(pair[0], key, pair[1]), zip(places, moments, strict=True)
        )
        hashes.update(result for result, _ in found)
        steps = sorted(step for _, step in found)
        print(
            f"{kills} kills (after steps {', '.join(map(str, steps))}), resumed: "
            f"{sum(result == document['result_hash'] for result, _ in found)} gave the same",
            flush=True,
        )

        places = [Place(root / f"resume-{path.name}", draw) for path in checkpoints]
        pairs = list(zip(places, checkpoints, strict=True))
        results = all_of(lambda pair: resumed(origin, pair[0], key, pair[1]), pairs)
        hashes.update([*results, document["result_hash"]])
        same = sum(result == document["result_hash"] for result in results)
        whole = int(document["metrics"]["optimizer_steps"])
        print(f"resumed from each of {len(results)} checkpoints ({whole} steps): {same} the same")
        print(f"{hashes.total()} results, {len(hashes)} result hash")
        return 0 if len(hashes) == 1 and len(results) >= whole - 1 else 1


if __name__ == "__main__":
    raise SystemExit(main())
