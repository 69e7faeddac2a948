"""How fast files are hashed, against the best that sha256 does here and against other tools.

    python benchmarks/hashing.py [GIGABYTES] [FOLDER]

Writes that much (1) in two files and in one, both read once before, and measures each way in turn,
the best of five rounds. The ratios are what counts: all ways have the same bytes, cores and minute.
`blake3` and `model_signing` are measured where they are installed; blake3 is another, faster hash,
and there to see by how much. The digests that documents carry are sha256.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from khichdi.schema.file_hashing import files_sha256

Way = Callable[[Sequence[Path]], object]
ROUNDS = 5
CORES = len(os.sched_getaffinity(0))
TOOL = shutil.which("sha256sum")


def ours(files: Sequence[Path]) -> object:
    return files_sha256(files)


def threads(files: Sequence[Path]) -> object:
    """Hash with `hashlib.file_digest`, a file a thread: the most that plain Python does."""

    def one(path: Path) -> str:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    with ThreadPoolExecutor(CORES) as pool:
        return list(pool.map(one, files))


def coreutils(files: Sequence[Path]) -> object:
    assert TOOL is not None
    started = [subprocess.Popen([TOOL, path], stdout=subprocess.DEVNULL) for path in files]
    return [process.wait() for process in started]


def blake3(files: Sequence[Path]) -> object:
    from blake3 import blake3

    return [blake3(max_threads=blake3.AUTO).update_mmap(path).hexdigest() for path in files]


def model_signing(files: Sequence[Path]) -> object:
    from model_signing.hashing import Config

    (folder,) = {path.parent for path in files}
    ignored = [path for path in folder.iterdir() if path not in files]
    config = Config().use_file_serialization(hashing_algorithm="sha256", ignore_paths=ignored)
    return config.hash(folder)


def ways(some: Path) -> dict[str, Way]:
    """Return the ways that work here."""
    found: dict[str, Way] = {"khichdi": ours, "hashlib, threads": threads}
    if TOOL:
        found["sha256sum"] = coreutils
    for name, way in (("model_signing sha256", model_signing), ("blake3", blake3)):
        try:
            way([some])
            found[name] = way
        except ImportError as error:
            print(f"{name} is not measured: {error}")
    return found


def measure(files: Sequence[Path]) -> dict[str, float]:
    """Return the bytes a second of each way, the best of some rounds."""
    size = sum(path.stat().st_size for path in files)
    best: dict[str, float] = {}
    all_ways = ways(files[0])
    for turn in range(ROUNDS):
        # Another way begins each round: whoever goes first has the cores to warm up.
        names = list(all_ways)
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            way = all_ways[name]
            start = time.perf_counter()
            way(files)
            best[name] = max(best.get(name, 0.0), size / (time.perf_counter() - start))
    return best


def main() -> int:
    size = int(float(sys.argv[1]) * 1e9) if len(sys.argv) > 1 else 10**9
    where = sys.argv[2] if len(sys.argv) > 2 else None
    worst = 1.0
    for count in (1, 2, 8):
        with tempfile.TemporaryDirectory(dir=where) as folder:
            files = [Path(folder) / f"weights-{n}.safetensors" for n in range(count)]
            piece = os.urandom(1 << 20)
            for path in files:
                with path.open("wb") as out:
                    for _ in range(size // count >> 20):
                        out.write(piece)
            rates = measure(files)
        best = max(rate for name, rate in rates.items() if name not in ("khichdi", "blake3"))
        worst = min(worst, rates["khichdi"] / best)
        print(f"{size / 1e9:.1f} GB in {count} file{'s' * (count > 1)}, {CORES} cores")
        for name, rate in rates.items():
            print(f"  {name:<22}{rate / 1e9:6.2f} GB/s{rates['khichdi'] / rate:8.2f} x")
    print(f"at least {worst:.2f} of the best other way to sha256")
    return 0 if worst >= 0.9 else 1


if __name__ == "__main__":
    raise SystemExit(main())
