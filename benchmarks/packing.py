"""How long 200,000 samples take to be put into packs, and how full these are, beside others'.

    python benchmarks/packing.py [--samples 200000] [--capacity 8192] [--peers PYTHON ...]

Lengths are log-normal with a mean of 200 tokens, and 2,048 at most. TRL and axolotl run where they
are installed: in this Python or in one given by `--peers`; where they are not, it says so. What is
counted differs, and each row says it: ours and axolotl's packer return positions, TRL's public
function makes the packed table, which `ours, table` does too. axolotl's packer is compiled before.
Each is the best of `--times` runs in one process.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

SEED = 57


def lengths(count: int) -> list[int]:
    import math

    import numpy as np

    spread = 0.9
    drawn = np.random.default_rng(SEED).lognormal(math.log(200) - spread**2 / 2, spread, count)
    found: list[int] = np.clip(drawn, 1, 2048).astype(int).tolist()
    return found


# ---- contenders: each returns the sizes of its packs ---------------------------------------


def ours(sizes: list[int], capacity: int) -> Callable[[], list[int]]:
    from khichdi.runtime.packing import pack

    return lambda: [sum(sizes[i] for i in group) for group in timed(pack, sizes, capacity)]


def ours_table(sizes: list[int], capacity: int) -> Callable[[], list[int]]:
    from khichdi.runtime.packing import pack
    from khichdi.runtime.steps.pack import packed_table

    samples = [(str(i), [1] * size, [1] * size) for i, size in enumerate(sizes)]

    def run() -> list[int]:
        table = timed(lambda: packed_table(samples, pack(sizes, capacity)))
        return [len(ids) for ids in table.column("input_ids")]

    return run


def trl(sizes: list[int], capacity: int) -> Callable[[], list[int]]:
    import datasets
    from trl import pack_dataset

    datasets.disable_progress_bars()
    table = datasets.Dataset.from_dict({"input_ids": [[1] * size for size in sizes]})
    options = {"batch_size": len(sizes), "load_from_cache_file": False}

    def run() -> list[int]:
        packed = timed(pack_dataset, table, capacity, "bfd", options)
        return [len(ids) for ids in packed.data.column("input_ids")]

    return run


def axolotl(sizes: list[int], capacity: int) -> Callable[[], list[int]]:
    import numpy as np
    from axolotl.utils.samplers.multipack import pack_parallel

    array = np.asarray(sizes)
    pack_parallel(array[:100], capacity, 100, 200, 1)

    def run() -> list[int]:
        groups = timed(pack_parallel, array, capacity, 100_000, 200, 1)
        return [int(array[group].sum()) for group in groups]

    return run


CONTENDERS = {"ours": ours, "ours, table": ours_table, "TRL bfd, table": trl, "axolotl": axolotl}
SPENT: list[float] = []


def timed(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function and note how long it took."""
    begin = time.perf_counter()
    result = function(*arguments)
    SPENT.append(time.perf_counter() - begin)
    return result


# ---- running them ---------------------------------------------------------------------------


def measure(options: argparse.Namespace) -> None:
    """Measure one contender in this process, and print it as JSON."""
    sizes = lengths(options.samples)
    run = CONTENDERS[options.measure](sizes, options.capacity)
    for _ in range(options.times):
        packs = run()
    if sum(packs) != sum(sizes) or max(packs) > options.capacity:
        raise SystemExit(f"{options.measure} lost tokens, or filled a pack over its capacity")
    fill = sum(sizes) / (len(packs) * options.capacity)
    print(json.dumps({"seconds": min(SPENT), "packs": len(packs), "fill": fill}))


def results(options: argparse.Namespace) -> Iterator[tuple[str, dict[str, Any] | None]]:
    for name in CONTENDERS:
        pythons = [sys.executable, *options.peers] if "ours" not in name else [sys.executable]
        for python in pythons:
            words = [python, __file__, "--measure", name, "--samples", str(options.samples)]
            words += ["--capacity", str(options.capacity), "--times", str(options.times)]
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            if done.returncode == 0:
                yield name, json.loads(done.stdout.splitlines()[-1])
                break
        else:
            last = (done.stderr.strip().splitlines() or ["no output"])[-1]
            yield f"{name}: did not run ({last})", None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=200_000)
    parser.add_argument("--capacity", type=int, default=8192)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--peers", nargs="*", default=[])
    parser.add_argument("--measure", choices=CONTENDERS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(options)
        return
    total = sum(lengths(options.samples))
    print(f"{options.samples:,} samples, {total:,} tokens, packs of {options.capacity:,}; ", end="")
    print(f"no fewer than {-(-total // options.capacity):,} packs are possible")
    for name, found in results(options):
        if found is None:
            print(name)
        else:
            figures = f"{found['seconds']:8.3f} s {found['packs']:>8,} packs"
            print(f"{name:<16}{figures}   {found['fill']:.5f} full")


if __name__ == "__main__":
    main()
