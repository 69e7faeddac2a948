"""Readers, filters and editors in a plan: what they did is in the record, row by row."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from khichdi.compiler.compile import compile_recipe, with_lock
from khichdi.plugins.registry import load_registry
from khichdi.project.bundled_recipes import open_recipe, shipped_folder
from khichdi.runtime.execute import Executor
from khichdi.runtime.sources.pin import pin
from khichdi.runtime.store.store import Store
from khichdi.runtime.tables import read_table
from khichdi.schema.plan import Plan
from khichdi.schema.record import RecordedStep

pytestmark = pytest.mark.heavy  # tokens are counted

RECIPE = """\
recipe: 1
seed: 57
model:
  base: {use: files, folder: base, include: ["*"]}
  adapter: {use: lora, target_modules: all-linear}
data:
  mine:
    source: {use: files, include: [mine.jsonl.gz]}
    read: {use: jsonl, columns: {input: article, output: summary}, on_bad_row: drop}
    filters:
      - {use: refusals, phrases: [sorry]}
      - {use: strip-html}
      - {use: truncate, tokens: 8}
      - {use: cut-after, marker: "####"}
      - {use: render, instruction: "{input}\\n\\nSum up.", input: ""}
      - {use: lower-case, fields: [instruction], fraction: 0.3}
      - {use: token-count, below: 60}
train: {use: qlora, template: {use: alpaca}, learning_rate: 1.0e-3}
"""


class Silent:
    def started(self, step: Any) -> None: ...

    def progress(self, step: Any, progress: Any) -> None: ...

    def finished(self, step: Any) -> None: ...


def prepared(folder: Path) -> None:
    import gzip

    shutil.copytree(shipped_folder() / "quickstart/base", folder / "base")
    rows = [
        {"article": f"<b>Once</b> upon a time {n} " * 9, "summary": f"Once {n}.#### {n}"}
        for n in range(200)
    ]
    rows[3]["summary"] = "I am sorry."
    lines = [json.dumps(row) for row in rows]
    lines[16] = lines[16][:-5]
    lines[90] = '{"article": "x"}'
    (folder / "mine.jsonl.gz").write_bytes(gzip.compress("\n".join(lines).encode(), mtime=0))
    (folder / "mine.yaml").write_text(RECIPE)


def run(folder: Path) -> tuple[Store, dict[str, RecordedStep]]:
    registry = load_registry()
    compiled = compile_recipe("mine.yaml", folder, open_recipe, registry)
    plan = with_lock(compiled, registry, pin(compiled.plan, compiled.folders, registry)).plan
    steps = tuple(s for s in plan.steps if s.name == "base" or s.name.startswith("data/mine/"))
    part = Plan.model_validate({**dict(plan), "steps": steps})
    store = Store(folder / "store")
    done = Executor(part, store, registry, compiled.folders, Silent()).run()
    return store, {step.name: step for step in done}


def table(store: Store, step: RecordedStep, output: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = read_table(store.folder(step.result.outputs[output])).to_pylist()
    return rows


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, dict[str, RecordedStep]]:
    folder = tmp_path_factory.mktemp("curation")
    prepared(folder)
    return run(folder)


def test_bad_records_are_in_the_ledger_with_their_line(
    done: tuple[Store, dict[str, RecordedStep]],
) -> None:
    store, steps = done
    read = steps["data/mine/read"]
    assert read.result.facts == {
        "rows_in": 200, "rows_out": 198, "drops": {"broken-json": 1, "missing-field": 1},
    }  # fmt: skip
    broken, missing = table(store, read, "drops")
    assert broken["id"] == "mine/mine.jsonl.gz#16"
    assert broken["detail"].startswith("line 17: broken JSON: ")
    assert missing["detail"] == (
        "line 91: there is no field `summary`, and `output` must be a text in every record"
    )


def test_each_editor_says_how_many_rows_it_changed(
    done: tuple[Store, dict[str, RecordedStep]],
) -> None:
    store, steps = done
    name = "data/mine/filter/"
    edited = {n.removeprefix(name): s.result.facts.get("edited") for n, s in steps.items()
              if n.startswith(name)}  # fmt: skip
    lowered = edited.pop("lower-case")
    assert edited == {
        "refusals": None, "strip-html": 197, "truncate": 197, "cut-after": 197, "render": 197,
        "token-count": None,
    }  # fmt: skip
    assert 30 < lowered < 90
    assert steps[f"{name}refusals"].result.facts["drops"] == {"refusal": 1}
    [refusal] = table(store, steps[f"{name}refusals"], "drops")
    assert refusal["detail"] == "sorry"
    rows = table(store, steps[f"{name}token-count"], "rows")
    assert len(rows) == 197
    for row in rows:
        number = row["id"].rpartition("#")[2]
        assert row["output"] == f"Once {number}."
        assert row["references"] == [row["output"]]
        assert row["input"] == ""
        head, asked = row["instruction"].lower().split("\n\n")
        assert asked == "sum up."
        assert f"once upon a time {number} ".startswith(head)


def test_the_same_bytes_give_the_same_rows(
    done: tuple[Store, dict[str, RecordedStep]], tmp_path: Path
) -> None:
    prepared(tmp_path)
    _, again = run(tmp_path)
    digests = {name: step.result.outputs for name, step in done[1].items()}
    assert {name: step.result.outputs for name, step in again.items()} == digests
