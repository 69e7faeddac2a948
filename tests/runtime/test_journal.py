"""The journal of a run: what watchers see while it runs, when it fails, and when it is killed."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import khichdi
from khichdi.plugins import Progress
from khichdi.project.observer import Observer
from khichdi.runtime import journal
from khichdi.runtime.journal import JOURNAL, Watched, journaled, watch
from khichdi.schema.errors import StepError
from khichdi.schema.plan import Plan, PlanStep
from khichdi.schema.record import RecordedStep

RECIPE = """\
recipe: 1
name: watched
data:
  one:
    source: {use: files, include: [one.jsonl]}
    read: {use: jsonl}
    filters: [{use: max-words, fields: [input], below: 9}]
mixture: {validation: {count: 2}}
"""
START = datetime(2026, 7, 1, 12, tzinfo=UTC)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> khichdi.Project:
    monkeypatch.chdir(tmp_path)
    rows = [{"instruction": "Count.", "input": f"{n}", "output": "yes"} for n in range(20)]
    (tmp_path / "one.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "watched.yaml").write_text(RECIPE)
    return khichdi.open_recipe("watched.yaml", store=tmp_path / "store")


def only_run(project: khichdi.Project) -> Path:
    (folder,) = (project.store / "runs").iterdir()
    return folder


class Looking(Observer):
    """Looks at the journal whenever a step starts."""

    def __init__(self, project: khichdi.Project) -> None:
        self.project = project
        self.seen: list[Watched] = []

    def started(self, step: PlanStep) -> None:
        found = watch(only_run(self.project))
        assert found is not None
        assert found.current is not None
        assert found.current.name == step.name
        self.seen.append(found)


def test_a_run_is_seen_while_it_runs_and_leaves_no_journal(project: khichdi.Project) -> None:
    looking = Looking(project)
    run = project.run(looking)
    assert [found.status for found in looking.seen] == ["running"] * len(project.plan.steps)
    assert [found.done for found in looking.seen] == list(range(len(project.plan.steps)))
    first = looking.seen[0]
    assert (first.recipe, first.recipe_hash) == ("watched", run.recipe_hash)
    assert [step.name for step in first.steps] == [step.name for step in project.plan.steps]
    assert not (run.folder / JOURNAL).exists()
    assert watch(run.folder) is None


class Stopping(Observer):
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def finished(self, step: RecordedStep) -> None:
        if step.name == "mixture":
            raise self.error


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (StepError("no room", hint="make some"), "failed", "no room"),
        (KeyboardInterrupt(), "interrupted", None),
        (ValueError("hf_" + "a" * 34), "failed", "ValueError: [a token of the Hugging Face hub]"),
    ],
)
def test_a_run_that_stops_says_why(
    project: khichdi.Project, error: BaseException, status: str, message: str | None
) -> None:
    with pytest.raises(type(error)):
        project.run(Stopping(error))
    found = watch(only_run(project))
    assert found is not None
    assert (found.status, found.message) == (status, message)
    assert found.hint == ("make some" if isinstance(error, StepError) else None)


KILLED = """
import os, signal, sys, khichdi
from khichdi.project.observer import Observer
class Kill(Observer):
    def started(self, step):
        if step.name == "mixture":
            os.kill(os.getpid(), signal.SIGKILL)
khichdi.open_recipe("watched.yaml", store="store").run(Kill())
"""


@pytest.mark.heavy
def test_a_killed_run_is_interrupted_in_its_step(project: khichdi.Project) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED], capture_output=True, text=True)
    assert done.returncode == -9, done.stderr
    found = watch(only_run(project))
    assert found is not None
    assert found.status == "interrupted"
    assert found.current is not None
    assert (found.current.name, found.current.status) == ("mixture", "stopped")


def test_a_run_of_cached_steps_needs_no_journal(project: khichdi.Project) -> None:
    plan = project.plan
    with journaled(None, plan, START, Observer()) as reporter:
        assert isinstance(reporter, Observer)


# ---- progress ---------------------------------------------------------------------------------


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(journal, "time", made)
    return made


def events(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / JOURNAL).read_text().splitlines()]


def test_progress_is_written_ever_more_seldom(
    project: khichdi.Project, clock: Clock, tmp_path: Path
) -> None:
    plan: Plan = project.plan
    step = plan.steps[0]
    told = []

    class Told(Observer):
        def progress(self, step: PlanStep, progress: Progress) -> None:
            told.append(progress.done)

    with journaled(tmp_path, plan, START, Told()) as reporter:
        reporter.started(step)
        for number in range(200_000):
            clock.now += 0.25
            reporter.progress(step, Progress(number, 200_000, note=f"loss {9 - number / 1e5:.3f}"))
        found = watch(tmp_path, clock.now)
        count = len(events(tmp_path))
    assert told == list(range(200_000))  # whoever is told, is told of all
    assert 3_000 < count < 6_000  # of 50,000 seconds: 1,000 until the gap grows, then few
    assert found is not None
    assert found.current is not None
    assert found.current.share == pytest.approx(1, abs=0.01)
    assert found.current.seconds == pytest.approx(50_000)
    assert found.figures["loss"][0] == (0, 9.0)
    assert found.figures["loss"][-1][1] == pytest.approx(7, abs=0.01)


def test_figures_of_a_note_are_curves_of_the_step_that_runs(
    project: khichdi.Project, clock: Clock, tmp_path: Path
) -> None:
    one, two = project.plan.steps[:2]
    with journaled(tmp_path, project.plan, START, Observer()) as reporter:
        reporter.started(one)
        clock.now += 1
        reporter.progress(one, Progress(1, 4, note="loss 4.5, validation 3.25e-1"))
        clock.now += 1
        reporter.progress(one, Progress(2, 4, note="loss nan"))
        first = watch(tmp_path, clock.now)
        reporter.started(two)
        second = watch(tmp_path, clock.now)
    assert first is not None
    assert first.figures == {"loss": [(1, 4.5)], "validation": [(1, 0.325)]}
    assert second is not None
    assert second.figures == {}


DAMAGE = [
    "", "{", "[]", "null", "7", '{"event": "started"}', '{"event": "started", "at": "x"}',
    '{"event": "started", "at": 1, "step": "no such"}',
    '{"event": "progress", "at": 1, "step": []}',
    '{"event": "start", "at": 1, "steps": 5}', "[" * 5000,
]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_line_changes_nothing(
    project: khichdi.Project, tmp_path: Path, damage: str
) -> None:
    with journaled(tmp_path, project.plan, START, Observer()) as reporter:
        reporter.started(project.plan.steps[0])
        with (tmp_path / JOURNAL).open("a") as file:
            file.write(f"{damage}\n")
        found = watch(tmp_path)
    assert found is not None
    assert found.recipe == "watched"
    assert found.current is not None
    assert found.current.name == project.plan.steps[0].name


def test_a_folder_without_a_readable_journal_is_not_watched(tmp_path: Path) -> None:
    assert watch(tmp_path) is None
    (tmp_path / JOURNAL).write_bytes(b"\xff\xfe\n")
    assert watch(tmp_path) is None
