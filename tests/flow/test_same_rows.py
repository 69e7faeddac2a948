"""Real rows through many kinds of step: the same digests however the work is cut and in what order.

Nobody is asked which step ran where: the digest of every step from reading to packing is compared.
"""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path
from typing import Any, Self

import pytest

from khichdi.compiler.compile import compile_recipe, with_lock
from khichdi.plugins.builtin.reader.records import row_mapper as reader_rows
from khichdi.plugins.builtin.reader.records import table_records
from khichdi.plugins.registry import load_registry
from khichdi.project.bundled_recipes import open_recipe, shipped_folder
from khichdi.runtime import tables
from khichdi.runtime.execute import Executor
from khichdi.runtime.sources.pin import pin
from khichdi.runtime.steps import pack, parallel_filter, rows
from khichdi.runtime.store.store import Store
from khichdi.schema.plan import Plan

TASKS = [
    "task137_detoxifying-lms_classification_toxicity",
    "task219_rocstories_title_answer_generation",
    "task1239_ted_translation_gl_ja",
    "task1613_sick_given_category_generate_sentence",
    "task568_circa_question_generation",
]
ROWS = 390 + 4 * 1000

RECIPE = """\
recipe: 1
seed: 57
model:
  base: {use: files, folder: base, include: ["*"]}
  adapter: {use: lora, target_modules: all-linear}
benchmarks:
  exam:
    source: {use: files, include: [exam.jsonl]}
    read: {use: jsonl, columns: {instruction: question, output: answer}}
data:
  tasks:
    source: {use: files, folder: tasks, include: ["*.json"]}
    read: {use: natural-instructions}
    filters:
      - {use: languages, input: [English], output: [English], undeclared: keep}
      - {use: categories, exclude: [Question Generation]}
      - {use: where, field: input, matches: '\\b(The|She|He|A)\\b'}
      - {use: max-words, fields: [input], below: 70}
      - {use: lower-case, fields: [input], fraction: 0.4}
      - {use: truncate, tokens: 60}
      - {use: jaccard-duplicates, fields: [input], above: 0.6}
    sample: {use: per-group, count: 150, short: take-all}
  sums:
    source: {use: files, include: ["sums-*.parquet"]}
    read: {use: parquet, columns: {instruction: question, output: answer}}
    filters:
      - {use: cut-after, marker: "####"}
      - {use: decontaminate, against: [exam], words: 8}
    sample: {use: random, fraction: 0.7}
mixture:
  filters: [{use: exact-duplicates, by: [instruction, input]}]
  order: interleave
  validation: {count: 40, group_by: [input]}
train: {use: qlora, template: {use: alpaca}, learning_rate: 1.0e-3, sequence_len: 512}
"""


class Silent:
    def started(self, step: Any) -> None: ...

    def progress(self, step: Any, progress: Any) -> None: ...

    def finished(self, step: Any) -> None: ...


def prepared(folder: Path, order: int) -> Path:
    """Write the recipe and its data into a new folder, the files in an order by this number."""
    import json

    import pyarrow as pa
    import pyarrow.parquet as pq

    data = Path(os.environ["KHICHDI_TEST_DATA"])
    shutil.copytree(shipped_folder() / "quickstart/base", folder / "base")
    (folder / "tasks").mkdir()
    lines = (data / "gsm8k/train.jsonl").read_text(encoding="utf-8").splitlines()[:3000]
    found = [json.loads(line) for line in lines]
    (folder / "exam.jsonl").write_text("\n".join(lines[i] for i in range(0, 3000, 100)))

    def sums(part: int) -> None:
        first = part % 3 * 1000  # the last repeats the first
        table = pa.Table.from_pylist(found[first : first + 1000])
        pq.write_table(table, folder / f"sums-{part}.parquet")

    def task(name: str) -> None:
        shutil.copy(data / "natural_instructions" / f"{name}.json", folder / "tasks")

    makers = [(task, name) for name in TASKS] + [(sums, part) for part in range(4)]
    random.Random(order).shuffle(makers)
    for make, what in makers:
        make(what)  # type: ignore[arg-type]
    (folder / "mine.yaml").write_text(RECIPE)
    return folder


def digests(folder: Path, store: str) -> dict[str, Any]:
    """Run everything up to packing in a store of its own; return digests and facts of each step."""
    registry = load_registry()
    compiled = compile_recipe("mine.yaml", folder, open_recipe, registry)
    plan = with_lock(compiled, registry, pin(compiled.plan, compiled.folders, registry)).plan
    end = next(n for n, step in enumerate(plan.steps) if step.kind == "pack")
    part = Plan.model_validate({**dict(plan), "steps": plan.steps[: end + 1]})
    executor = Executor(part, Store(folder / store), registry, compiled.folders, Silent())
    return {step.name: (step.digests(), step.result.facts) for step in executor.run()}


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    if not os.environ.get("KHICHDI_TEST_DATA"):
        pytest.skip("KHICHDI_TEST_DATA is not set: no real data to read")
    folder = prepared(tmp_path_factory.mktemp("same"), order=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KHICHDI_WORKERS", "1")
        found = digests(folder, "store")
    assert found["data/tasks/read"][1]["rows_out"] == ROWS
    # Every filter has something to do, or its digest would say nothing.
    idle = [
        name for name, (_, facts) in found.items()
        if "/filter/" in name and not (facts["drops"] or facts.get("edited"))
    ]  # fmt: skip
    assert idle == []
    return folder, found


@pytest.mark.nightly
@pytest.mark.slow
@pytest.mark.parametrize("number", [2, 7])
def test_workers_change_no_digest(
    expected: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    folder, found = expected
    started = []
    really = parallel_filter._shared_out

    def shared_out(sent: bytes, batches: Any, first: int, count: int) -> Any:
        started.append(count)
        return really(sent, batches, first, count)

    monkeypatch.setattr(parallel_filter, "_shared_out", shared_out)
    monkeypatch.setattr(parallel_filter, "PAYS", 0.0)  # else rows so few are never shared out
    for module in (reader_rows, table_records):
        monkeypatch.setattr(module, "BATCH", 512)
    monkeypatch.setenv("KHICHDI_WORKERS", str(number))
    assert digests(folder, f"store-{number}") == found
    assert max(started) == number


@pytest.mark.slow
@pytest.mark.parametrize("size", [61, 100_000])
def test_batches_of_another_size_change_no_digest(
    expected: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    folder, found = expected
    for module in (reader_rows, table_records, tables, rows, pack):
        assert module.BATCH == 4096  # type: ignore[attr-defined]
        monkeypatch.setattr(module, "BATCH", size)
    monkeypatch.setenv("KHICHDI_WORKERS", "1")
    assert digests(folder, f"store-of-{size}") == found


class Shuffled:
    """A folder's entries in an order of chance, as another file system would list them."""

    def __init__(self, entries: Any, chosen: random.Random) -> None:
        with entries:
            self._entries = list(entries)
        chosen.shuffle(self._entries)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> os.DirEntry[str]:
        if not self._entries:
            raise StopIteration
        return self._entries.pop()

    def close(self) -> None: ...


def test_files_made_and_listed_in_another_order_change_no_digest(
    expected: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = prepared(tmp_path / "workdir", order=1)
    chosen, scandir, listdir = random.Random(3), os.scandir, os.listdir
    listings = []

    def shuffled_names(path: Any = ".") -> list[Any]:
        names = listdir(path)
        chosen.shuffle(names)
        listings.append(path)
        return names

    def shuffled(path: Any = ".") -> Shuffled:
        listings.append(path)
        return Shuffled(scandir(path), chosen)

    monkeypatch.setattr(os, "scandir", shuffled)
    monkeypatch.setattr(os, "listdir", shuffled_names)
    monkeypatch.setenv("KHICHDI_WORKERS", "1")
    found = digests(folder, "store")
    monkeypatch.undo()
    assert any(str(path).endswith("tasks") for path in listings)
    assert found == expected[1]
