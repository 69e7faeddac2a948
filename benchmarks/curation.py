"""How many rows a second filters look at, beside what others need for the same rows.

    python benchmarks/curation.py [--rows 100000] [--peers PYTHON ...] [--only WORD]
                                  [--tasks FOLDER]

Each contender runs in a process of its own on the same Arrow file: rows of 20 to 60 words, one in
ten a copy of another with one other word; with `--tasks`, the instances of the Natural Instructions
tasks in a folder, where thousands of rows share their instruction. Reading the file and loading
libraries is not counted.
data-juicer and semhash run where they are installed: in this Python or in one given by `--peers`.
Where embeddings are compared, ours and semhash get the same vectors, made from a hash of each word:
what is counted is the comparing, and not a model.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

BELOW = 50
ABOVE = 0.7
ALIKE = 0.95
BATCH = 4096


def texts(count: int) -> list[str]:
    chosen = random.Random(1)
    letters = "abcdefghijklmnopqrstuvwxyz"
    vocabulary = ["".join(chosen.choices(letters, k=chosen.randint(2, 9))) for _ in range(20_000)]
    found: list[str] = []
    for _ in range(count):
        if found and chosen.random() < 0.1:
            words = chosen.choice(found).split()
            words[chosen.randrange(len(words))] = chosen.choice(vocabulary)
        else:
            words = chosen.choices(vocabulary, k=chosen.randint(20, 60))
        found.append(" ".join(words))
    return found


def task_texts(folder: Path, count: int) -> list[str]:
    found: list[str] = []
    for path in sorted(folder.glob("task*.json")):
        task = json.loads(path.read_text("utf-8"))
        instruction = "\n".join(task["Definition"])
        found += [
            f"{instruction}\n{instance['input']}\n{instance['output'][0]}"
            for instance in task["Instances"]
        ]
    return found[:count]


def write_rows(folder: Path, inputs: list[str]) -> None:
    import pyarrow as pa

    from khichdi.runtime.tables import write_table
    from khichdi.schema.rows import row_schema

    values, count = pa.array(inputs), len(inputs)
    columns = []
    for field in row_schema():
        if field.name == "id":
            columns.append(pa.array([f"bench/rows.jsonl#{n}" for n in range(count)]))
        elif field.name == "input":
            columns.append(values)
        else:
            empty: Any = "" if field.type == pa.string() else []
            columns.append(pa.array([empty] * count, field.type))
    write_table(folder, pa.Table.from_arrays(columns, schema=row_schema()))


# ---- contenders: each makes ready, then returns what is timed and gives the rows that stay -----

Work = Callable[[], int]


def khichdi_filter(name: str, **params: Any) -> Callable[[Path], Work]:
    def ready(folder: Path) -> Work:
        from khichdi.plugins import FilterInputs
        from khichdi.plugins.registry import load_registry
        from khichdi.runtime.tables import read_table

        batches = read_table(folder).to_batches(max_chunksize=BATCH)
        filter_ = load_registry().create("filter", name, params)
        filter_.reasons(batches[0].slice(0, 0))  # imports what it needs

        def work() -> int:
            filter_.begin(FilterInputs(rows=read_table(folder)))
            return sum(filter_.reasons(batch).count(None) for batch in batches)

        return work

    return ready


def khichdi_step(name: str, **params: Any) -> Callable[[Path], Work]:
    """The whole step: the filter, the ledger, both tables on disk and their digests."""

    def ready(folder: Path) -> Work:
        from khichdi.plugins.registry import load_registry
        from khichdi.runtime.steps.context import Context
        from khichdi.runtime.steps.filter import filter_rows
        from khichdi.runtime.tables import read_table, write_table
        from khichdi.schema.plan import PlanStep

        registry = load_registry()
        version = registry.get("filter", name).plugin.version
        ref = {"kind": "filter", "name": name, "version": version, "params": params}
        key = "sha256:" + "0" * 64
        step = PlanStep.model_validate(
            {"name": "data/bench/filter", "kind": "filter", "plugin": ref, "key": key}
        )

        def work(rows: Path) -> int:
            staging = Path(tempfile.mkdtemp(dir=folder))
            context = Context(
                step=step,
                inputs={"rows": rows},
                staging=staging,
                work=staging,
                origin=None,
                registry=registry,
                report=lambda progress: None,
            )
            return int(filter_rows(context).facts["rows_out"])

        few = Path(tempfile.mkdtemp(dir=folder))
        write_table(few, read_table(folder).slice(0, 10))
        work(few)  # imports what it needs
        return lambda: work(folder)

    return ready


def datasets_filter(**options: Any) -> Callable[[Path], Work]:
    def ready(folder: Path) -> Work:
        rows = _data_set(folder)
        if options.get("batched"):

            def keep(batch: Any) -> Any:
                return [len(text.split()) < BELOW for text in batch["input"]]
        else:

            def keep(batch: Any) -> Any:
                return len(batch["input"].split()) < BELOW

        return lambda: len(rows.filter(keep, keep_in_memory="num_proc" not in options, **options))

    return ready


def datasets_exact(folder: Path) -> Work:
    rows = _data_set(folder)
    seen: set[str] = set()

    def keep(batch: Any) -> list[bool]:
        fresh = []
        for text in batch["input"]:
            fresh.append(text not in seen)
            seen.add(text)
        return fresh

    return lambda: len(rows.filter(keep, batched=True, keep_in_memory=True))


def _data_set(folder: Path) -> Any:
    import datasets

    datasets.disable_caching()
    datasets.disable_progress_bars()
    return datasets.Dataset.from_file(str(folder / "table.arrow.stream")).select_columns(["input"])


def data_juicer(folder: Path) -> Work:
    from data_juicer.core.data import NestedDataset
    from data_juicer.ops.deduplicator import DocumentMinhashDeduplicator

    rows = NestedDataset.from_dict({"text": _inputs(folder)})
    operator = DocumentMinhashDeduplicator(
        tokenization="space", window_size=5, num_permutations=128, jaccard_threshold=ABOVE
    )
    return lambda: len(rows.process([operator]))


class WordVectors:
    """An embedding model that costs little: the mean of a random vector for each word."""

    dimensions = 256

    def __init__(self, *_: Any) -> None:
        import numpy as np

        drawn = np.random.default_rng(0)
        self.vectors = drawn.standard_normal((1 << 15, self.dimensions), np.float32)

    def encode(self, inputs: Any, **_: Any) -> Any:
        import zlib

        import numpy as np

        places = [[zlib.crc32(w.encode()) & 0x7FFF for w in text.split()] for text in inputs]
        found = np.stack([self.vectors[place].mean(0) for place in places])
        return found / np.linalg.norm(found, axis=1, keepdims=True)

    embed = encode


def khichdi_embeddings(folder: Path) -> Work:
    from khichdi.plugins import FilterInputs
    from khichdi.plugins.builtin.filter.similarity import embedding
    from khichdi.plugins.registry import load_registry
    from khichdi.runtime.tables import read_table

    embedding.Embedder = WordVectors  # type: ignore[assignment, misc]
    batches = read_table(folder).to_batches(max_chunksize=BATCH)
    filter_ = load_registry().create(
        "filter", "near-duplicates", {"above": ALIKE, "fields": ["input"]}
    )
    filter_.begin(FilterInputs(files={"embedding": folder}))
    return lambda: sum(filter_.reasons(batch).count(None) for batch in batches)


def semhash(folder: Path) -> Work:
    from semhash import SemHash

    records = _inputs(folder)
    return lambda: len(
        SemHash.from_records(records, model=WordVectors()).self_deduplicate(ALIKE).selected
    )


def _inputs(folder: Path) -> list[str]:
    import pyarrow as pa

    with pa.memory_map(str(folder / "table.arrow.stream")) as file:
        found: list[str] = pa.ipc.open_stream(file).read_all().column("input").to_pylist()
    return found


CONTENDERS: dict[str, dict[str, Callable[[Path], Work]]] = {
    "words": {
        "khichdi max-words": khichdi_filter("max-words", fields=["input"], below=BELOW),
        "khichdi, whole step": khichdi_step("max-words", fields=["input"], below=BELOW),
        "datasets filter": datasets_filter(),
        "datasets filter, batched": datasets_filter(batched=True),
        "datasets filter, batched, 2 processes": datasets_filter(batched=True, num_proc=2),
    },
    "exact duplicates": {
        "khichdi exact-duplicates": khichdi_filter("exact-duplicates", by=["input"]),
        "khichdi, whole step": khichdi_step("exact-duplicates", by=["input"]),
        "datasets filter, batched": datasets_exact,
    },
    "near duplicates": {
        "khichdi jaccard-duplicates": khichdi_filter(
            "jaccard-duplicates", fields=["input"], above=ABOVE
        ),
        "khichdi, whole step": khichdi_step("jaccard-duplicates", fields=["input"], above=ABOVE),
        "data-juicer minhash": data_juicer,
    },
    "embeddings": {
        "khichdi near-duplicates, all pairs": khichdi_embeddings,
        "semhash, nearest by an index": semhash,
    },
}


# ---- one process each ------------------------------------------------------------------------


def contend(group: str, name: str, folder: Path) -> None:
    """Run one contender and print what it took, or that its library is not here."""
    try:
        work = CONTENDERS[group][name](folder)
    except ModuleNotFoundError as error:
        print(json.dumps({"missing": error.name}))
        return
    before = peak()
    start = time.perf_counter()
    kept = work()
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "kept": kept, "peak": peak(), "grown": peak() - before}))


def peak() -> float:
    """Return the most memory so far, of this process and of its largest child, in MiB."""
    # Not RUSAGE_SELF: a new process begins with the figure of the one that started it.
    lines = Path("/proc/self/status").read_text().splitlines()
    mine = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    return (mine + resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) / 1024


def outcomes(group: str, pythons: list[str], folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for name in CONTENDERS[group]:
        for python in pythons:
            done = subprocess.run(
                [python, __file__, "--contend", group, name, str(folder)],
                capture_output=True,
                text=True,
                check=False,
            )
            lines = done.stdout.strip().splitlines()
            if done.returncode or not lines:
                raise SystemExit(f"{name} failed in {python}:\n{done.stderr[-2000:]}")
            found = json.loads(lines[-1])
            if "seconds" in found:
                break
        yield name, found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--peers", nargs="*", default=[], metavar="PYTHON")
    parser.add_argument("--only", default="", help="groups with this word in their name")
    parser.add_argument("--tasks", type=Path, help="a folder of Natural Instructions tasks")
    parser.add_argument("--contend", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contend:
        contend(options.contend[0], options.contend[1], Path(options.contend[2]))
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        inputs = texts(options.rows)
        if options.tasks:
            inputs = task_texts(options.tasks, options.rows)
        write_rows(folder, inputs)
        stream_copy(folder)
        for group in CONTENDERS:
            if options.only in group:
                show(group, len(inputs), outcomes(group, [sys.executable, *options.peers], folder))


def stream_copy(folder: Path) -> None:
    """Write the rows once more as an Arrow stream, which `datasets` maps."""
    import pyarrow as pa

    table = pa.ipc.open_file(pa.memory_map(str(folder / "table.arrow"))).read_all()
    path = str(folder / "table.arrow.stream")
    with pa.OSFile(path, "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=BATCH)


def show(group: str, rows: int, found: Iterator[tuple[str, dict[str, Any]]]) -> None:
    print(f"\n{group}, {rows:,} rows")
    print(f"  {'':<40}{'rows/s':>12}{'kept':>10}{'peak MiB':>10}{'grown':>8}{'khichdi is':>12}")
    ours = 0.0
    for name, result in found:
        if "missing" in result:
            print(f"  {name:<40}{result['missing']} is not installed")
            continue
        ours = ours or result["seconds"]
        ratio = "" if name.startswith("khichdi") else f"{result['seconds'] / ours:.1f} x"
        print(
            f"  {name:<40}{rows / result['seconds']:>12,.0f}{result['kept']:>10,}"
            f"{result['peak']:>10,.0f}{result['grown']:>8,.0f}{ratio:>12}",
            flush=True,
        )


if __name__ == "__main__":
    main()
