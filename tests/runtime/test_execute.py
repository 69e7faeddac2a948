"""The executor: each step once, faults named, finished work kept."""

from __future__ import annotations

import json
import types
from pathlib import Path
from typing import Any

import pytest

from khichdi.compiler.compile import compile_recipe, with_lock
from khichdi.plugins import Filter, Launch, Params, Sampler, Scorer, Scores, hookimpl
from khichdi.plugins.registry import Registry, load_registry
from khichdi.project.bundled_recipes import open_recipe
from khichdi.runtime.execute import Executor
from khichdi.runtime.sources.pin import pin
from khichdi.runtime.store.store import Store
from khichdi.runtime.tables import read_table
from khichdi.schema.errors import InputError, StepError, WorkError
from khichdi.schema.plan import Plan
from khichdi.schema.record import RecordedStep

RECIPE = """\
extends: quickstart
recipe: 1
data:
  tasks: null
  mine:
    source: {use: files, include: [mine.jsonl]}
    read: {use: jsonl}
    filters: [{use: odd}]
"""


class OddParams(Params):
    """No parameters."""


class Odd(Filter[OddParams]):
    """Do what a test wants."""

    name = "odd"

    def reasons(self, batch: Any) -> Any:
        return [None] * batch.num_rows


class Length(Scorer[OddParams]):
    """Score rows by their input, read as a number."""

    name = "length"

    def score(self, job: Any) -> Scores:
        return Scores([float(text) for text in job.rows.column("input").to_pylist()])


class Top(Sampler[OddParams]):
    """Keep the two rows of the highest score."""

    name = "top"

    def select(self, table: Any, draw: Any) -> list[int]:
        scores = table.column("score").to_pylist()
        return sorted(range(len(scores)), key=scores.__getitem__)[-2:]


class Silent:
    def started(self, step: Any) -> None: ...

    def progress(self, step: Any, progress: Any) -> None: ...

    def finished(self, step: Any) -> None: ...


def registry_with(plugin: Any) -> Registry:
    module = types.ModuleType("stranger")

    def khichdi_filters() -> list[Any]:
        return [plugin]

    def khichdi_scorers() -> list[Any]:
        return [Length]

    def khichdi_samplers() -> list[Any]:
        return [Top]

    for hook in (khichdi_filters, khichdi_scorers, khichdi_samplers):
        setattr(module, hook.__name__, hookimpl(hook))
    return load_registry(extra=[module])


def executor(
    folder: Path,
    plugin: Any = Odd,
    recipe: str = RECIPE,
    names: tuple[str, ...] = ("data/mine/source", "data/mine/read", "data/mine/filter/odd"),
) -> Executor:
    """Return an executor for the steps of these names: of the data set, up to the filter."""
    lines = [json.dumps({"instruction": "i", "input": str(n), "output": "o"}) for n in range(6)]
    (folder / "mine.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "mine.yaml").write_text(recipe)
    registry = registry_with(plugin)
    compiled = compile_recipe("mine.yaml", folder, open_recipe, registry)
    lock = pin(compiled.plan, compiled.folders, registry)
    plan = with_lock(compiled, registry, lock).plan
    steps = tuple(step for step in plan.steps if step.name.startswith(names))
    part = Plan.model_validate({**dict(plan), "steps": steps})
    return Executor(part, Store(folder / "store"), registry, compiled.folders, Silent())


def statuses(steps: list[RecordedStep]) -> list[str]:
    return [step.status for step in steps]


def changed(**changes: Any) -> Any:
    return type("Odd", (Odd,), {"__doc__": Odd.__doc__, **changes})


def test_a_plan_runs_once_and_is_then_cached(tmp_path: Path) -> None:
    assert statuses(executor(tmp_path).run()) == ["ran"] * 3
    assert statuses(executor(tmp_path).run()) == ["cached"] * 3


def test_a_raised_version_reruns_the_step_alone(tmp_path: Path) -> None:
    executor(tmp_path).run()
    again = executor(tmp_path, changed(version=2)).run()
    assert statuses(again) == ["cached", "cached", "ran"]


def test_drops_are_kept_with_their_reasons(tmp_path: Path) -> None:
    def reasons(self: Any, batch: Any) -> Any:
        return ["odd" if int(text) % 2 else None for text in batch.column("input").to_pylist()]

    run = executor(tmp_path, changed(reasons=reasons))
    last = run.run()[-1]
    assert last.result.facts == {"rows_in": 6, "rows_out": 3, "drops": {"odd": 3}}
    drops = read_table(run.store.folder(last.result.outputs["drops"])).to_pylist()
    assert drops == [
        {"id": f"mine/mine.jsonl#{n}", "reason": "odd", "detail": ""} for n in (1, 3, 5)
    ]


def test_fail_mend_and_run_again_keeps_what_was_done(tmp_path: Path) -> None:
    def reasons(self: Any, batch: Any) -> Any:
        raise ZeroDivisionError("by zero")

    with pytest.raises(StepError) as caught:
        executor(tmp_path, changed(reasons=reasons)).run()
    text = str(caught.value)
    assert (
        "filter/odd (filter `odd` of stranger 0): row mine/mine.jsonl#0: ZeroDivisionError" in text
    )
    assert "from stranger" in text
    assert statuses(executor(tmp_path).run()) == ["cached", "cached", "ran"]


def test_too_few_reasons_are_refused(tmp_path: Path) -> None:
    wrong = changed(reasons=lambda self, batch: [None])
    with pytest.raises(StepError, match="gave 1 reasons for 6 rows"):
        executor(tmp_path, wrong).run()


def test_a_missing_package_stops_the_run_before_it_begins(tmp_path: Path) -> None:
    run = executor(tmp_path, changed(requires=("no-such-distribution",)))
    with pytest.raises(WorkError, match=r"filter/odd needs packages.*no-such-distribution"):
        run.run()
    assert run.done == {}


def test_several_processes_are_refused_for_a_runtime_that_trains_in_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = executor(tmp_path, names=("data/mine", "train"))
    run.launch = Launch(2)
    runtime: Any = run.registry.get("runtime", "qlora").plugin
    monkeypatch.setattr(runtime, "launches", False)
    with pytest.raises(InputError, match="train: the runtime `qlora` trains in one process"):
        run.run()
    assert run.done == {}


def test_a_plan_for_another_version_of_a_plugin_is_refused(tmp_path: Path) -> None:
    run = executor(tmp_path)
    other = executor(tmp_path, changed(version=2))
    run.registry = other.registry
    with pytest.raises(StepError, match=r"needs version 1 of filter `odd`, version 2"):
        run.run()


def test_a_scored_data_set_is_sampled_by_its_scores_and_mixed_with_one_that_is_not(
    tmp_path: Path,
) -> None:
    recipe = RECIPE + (
        "    score: {use: length}\n    sample: {use: top}\n"
        "  other:\n    source: {use: files, include: [mine.jsonl]}\n    read: {use: jsonl}\n"
    )
    run = executor(tmp_path, recipe=recipe, names=("data/", "mixture"))
    mixed = next(step for step in run.run() if step.name == "mixture")
    assert mixed.result.facts["sources"] == {"mine": 2, "other": 6}
    rows = read_table(run.store.folder(mixed.result.outputs["rows"])).to_pylist()
    assert [row["id"] for row in rows[:2]] == ["mine/mine.jsonl#4", "mine/mine.jsonl#5"]
    assert "score" not in rows[0]
