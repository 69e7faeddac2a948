"""What a filter may ask for beside its rows: bytes, benchmarks, and to rewrite them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from khichdi.compiler.compile import compile_recipe, with_lock
from khichdi.plugins import Drop, Editor, Filter, FilterInputs, Params, hookimpl
from khichdi.plugins.registry import Registry, load_registry
from khichdi.project.bundled_recipes import open_recipe
from khichdi.runtime.execute import Executor
from khichdi.runtime.sources.pin import pin
from khichdi.runtime.store.store import Store
from khichdi.runtime.tables import read_table
from khichdi.schema.errors import RecipeError, StepError
from khichdi.schema.plan import Plan
from khichdi.schema.record import RecordedStep

RECIPE = """\
recipe: 1
model:
  base: {use: files, include: [model.bin]}
  adapter: {use: lora, target_modules: all-linear}
benchmarks:
  exam:
    source: {use: files, include: [exam.jsonl]}
    read: {use: jsonl}
data:
  mine:
    source: {use: files, include: [mine.jsonl]}
    read: {use: jsonl}
    filters:
      - use: banned
        words: {use: files, include: [words.txt]}
        against: [exam]
      - {use: coin}
train: {use: qlora, template: {use: alpaca}, learning_rate: 1.0e-3}
"""


class NoParams(Params):
    """No parameters."""


class Banned(Filter[NoParams]):
    """Drop rows with a word of a list, or with the input of a benchmark's row."""

    name = "banned"
    sources = {"words": "A file with a word per line."}
    uses_benchmarks = True
    inputs: FilterInputs

    def begin(self, inputs: FilterInputs) -> None:
        self.inputs = inputs

    def reasons(self, batch: Any) -> list[Any]:
        words = (self.inputs.files["words"] / "words.txt").read_text().split()
        asked = self.inputs.benchmarks["exam"].column("input").to_pylist()
        return [
            "word" if text in words else Drop("in-exam", text) if text in asked else None
            for text in batch.column("input").to_pylist()
        ]


class Coin(Editor[NoParams]):
    """Write heads or tails as the output, by each row's draw."""

    name = "coin"
    seeded = True

    def edit(self, batch: Any, draw: Any) -> Any:
        import pyarrow as pa

        sides = pa.array([("heads", "tails")[number % 2] for number in draw], pa.string())
        return batch.set_column(batch.schema.get_field_index("output"), "output", sides)


class Rename(Coin):
    """Give rows other ids."""

    def edit(self, batch: Any, draw: Any) -> Any:
        return batch.set_column(0, "id", batch.column("input"))


def registry_with(*filters: Any) -> Registry:
    class Module:
        @hookimpl
        def khichdi_filters(self) -> list[Any]:
            return list(filters)

    return load_registry(extra=[Module()])


def write(folder: Path, name: str, inputs: list[str]) -> None:
    lines = [json.dumps({"instruction": "i", "input": text, "output": "o"}) for text in inputs]
    (folder / name).write_text("\n".join(lines) + "\n")


def prepared(folder: Path) -> None:
    write(folder, "mine.jsonl", list("abcdefgh"))
    write(folder, "exam.jsonl", ["b", "z"])
    (folder / "words.txt").write_text("c\nd\n")
    (folder / "model.bin").write_bytes(b"weights")


def run(folder: Path, registry: Registry, recipe: str = RECIPE) -> tuple[Store, Plan, Any]:
    (folder / "mine.yaml").write_text(recipe)
    compiled = compile_recipe("mine.yaml", folder, open_recipe, registry)
    lock = pin(compiled.plan, compiled.folders, registry)
    plan = with_lock(compiled, registry, lock).plan
    steps = tuple(
        s
        for s in plan.steps
        if s.name.startswith(
            ("data/mine/filter", "data/mine/read", "data/mine/source", "benchmarks/")
        )
    )
    part = Plan.model_validate({**dict(plan), "steps": steps})
    store = Store(folder / "store")
    return store, plan, Executor(part, store, registry, compiled.folders, Silent())


class Silent:
    def started(self, step: Any) -> None: ...

    def progress(self, step: Any, progress: Any) -> None: ...

    def finished(self, step: Any) -> None: ...


def table(store: Store, step: RecordedStep, output: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = read_table(store.folder(step.result.outputs[output])).to_pylist()
    return rows


def test_a_filter_gets_its_bytes_and_its_benchmarks(tmp_path: Path) -> None:
    prepared(tmp_path)
    store, plan, executor = run(tmp_path, registry_with(Banned, Coin))
    done = {step.name: step for step in executor.run()}
    assert [step.name for step in plan.steps][:5] == [
        "base", "benchmarks/exam/source", "benchmarks/exam/read", "data/mine/source",
        "data/mine/read",
    ]  # fmt: skip
    banned = done["data/mine/filter/banned"]
    assert banned.result.facts["drops"] == {"in-exam": 1, "word": 2}
    drops = {row["id"][-1]: (row["reason"], row["detail"]) for row in table(store, banned, "drops")}
    assert drops == {"1": ("in-exam", "b"), "2": ("word", ""), "3": ("word", "")}
    coin = done["data/mine/filter/coin"]
    assert coin.result.facts == {"rows_in": 5, "rows_out": 5, "drops": {}, "edited": 5}
    assert {row["output"] for row in table(store, coin, "rows")} == {"heads", "tails"}


def test_other_bytes_of_a_filter_or_a_benchmark_rerun_it_and_what_follows(tmp_path: Path) -> None:
    prepared(tmp_path)
    registry = registry_with(Banned, Coin)
    run(tmp_path, registry)[2].run()
    (tmp_path / "words.txt").write_text("a\n")
    again = [step.name for step in run(tmp_path, registry)[2].run() if step.status == "ran"]
    assert again == [
        "data/mine/filter/banned/words", "data/mine/filter/banned", "data/mine/filter/coin",
    ]  # fmt: skip
    write(tmp_path, "exam.jsonl", ["h"])
    again = [step.name for step in run(tmp_path, registry)[2].run() if step.status == "ran"]
    assert again == [
        "benchmarks/exam/source", "benchmarks/exam/read", "data/mine/filter/banned",
        "data/mine/filter/coin",
    ]  # fmt: skip


def test_an_editors_draws_go_with_the_row_not_with_its_place(tmp_path: Path) -> None:
    prepared(tmp_path)
    registry = registry_with(Banned, Coin)
    store, _, executor = run(tmp_path, registry)
    before = {row["id"]: row["output"] for row in table(store, executor.run()[-1], "rows")}
    (tmp_path / "words.txt").write_text("a\n")
    store, _, executor = run(tmp_path, registry)
    after = {row["id"]: row["output"] for row in table(store, executor.run()[-1], "rows")}
    assert before.keys() != after.keys()
    assert all(after[row] == before[row] for row in before.keys() & after.keys())


def test_an_editor_that_gives_other_rows_back_is_refused(tmp_path: Path) -> None:
    prepared(tmp_path)
    with pytest.raises(StepError, match="the same rows, with the same ids"):
        run(tmp_path, registry_with(Banned, Rename))[2].run()


def faults(folder: Path, recipe: str) -> list[str]:
    prepared(folder)
    with pytest.raises(RecipeError) as caught:
        run(folder, registry_with(Banned, Coin), recipe)
    return [f"{d.line}: {d.message}; {d.suggestion}" for d in caught.value.diagnostics]


def test_a_benchmark_that_is_not_there_or_not_used_is_named(tmp_path: Path) -> None:
    assert faults(tmp_path, RECIPE.replace("[exam]", "[exma]")) == [
        "6: benchmark `exam` is used by no filter; name it in a filter's `against:`, or remove it",
        "16: there is no benchmark `exma`; did you mean `exam`?",
    ]


def test_the_words_of_a_filters_source_are_checked_like_any_other(tmp_path: Path) -> None:
    assert faults(
        tmp_path, RECIPE.replace("{use: files, include: [words.txt]}", "{use: fils}")
    ) == [
        "15: no source named `fils` is installed; did you mean `files`?",
    ]
    found = faults(tmp_path, RECIPE.replace("include: [words.txt]", "inclde: [words.txt]"))
    assert found[0] == "15: unknown parameter `inclde` of source `files`; did you mean `include`?"
    found = faults(
        tmp_path, RECIPE.replace("        words: {use: files, include: [words.txt]}\n", "")
    )
    assert found == ["14: filter `banned` needs `words`; A file with a word per line."]
