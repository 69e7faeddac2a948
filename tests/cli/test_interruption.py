"""Ctrl-C says where a run stopped, what is kept, and the command that resumes it."""

from __future__ import annotations

import json
import signal
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import pytest
from third_party import plugin

from khichdi.cli.display import Display
from khichdi.cli.interruption import interruption
from khichdi.cli.main import main
from khichdi.plugins.kinds import Progress
from khichdi.schema.plan import PlanStep, PluginRef

STOP = """
def reasons(self, batch):
    import os, signal

    if not os.path.exists("resumed"):
        os.kill(os.getpid(), signal.SIGINT)
    return [None] * batch.num_rows
"""
RECIPE = """\
recipe: 1
name: mine
plugins: [./stop.py]
data:
  rows:
    source: {use: files, include: [rows.jsonl]}
    read: {use: jsonl, columns: {input: question, output: answer}}
    filters: [{use: ill}]
"""


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give the working folder, with a recipe whose filter presses Ctrl-C."""
    # Shells start what runs in the background with this signal ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.jsonl").write_text('{"question": "2 + 2?", "answer": "4"}\n')
    (tmp_path / "stop.py").write_text(plugin("filter", STOP))
    (tmp_path / "mine.yaml").write_text(RECIPE)
    yield tmp_path
    signal.signal(signal.SIGINT, before)


@pytest.mark.heavy
def test_the_step_and_the_command_are_named_and_the_command_resumes(
    recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["run", "mine.yaml", "--store", "my store", "--set", "seed=3"]
    assert main(words) == 130
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[-2:] == [
        "interrupted in `data/rows/filter/ill`; finished steps are kept",
        "resume with: recipe run mine.yaml --store 'my store' --set seed=3",
    ]
    (recipe / "resumed").touch()
    assert main([*words, "--json"]) == 0
    steps = {one["name"]: one["status"] for one in json.loads(capsys.readouterr().out)["steps"]}
    assert (steps["data/rows/read"], steps["data/rows/filter/ill"]) == ("cached", "ran")


@pytest.mark.parametrize(
    ("kind", "reached", "said"),
    [
        (
            "runtime",
            Progress(1_037, 1_280, "loss 1.2"),
            "interrupted in `it` after 1,037 of 1,280 training steps; "
            "finished steps and checkpoints are kept",
        ),
        ("runtime", None, "interrupted in `it`; finished steps and checkpoints are kept"),
        (
            "scorer",
            Progress(5, 0, unit="rows"),
            "interrupted in `it` after 5 rows; finished steps are kept",
        ),
    ],
)
def test_progress_is_in_the_units_of_the_step(
    kind: str, reached: Progress | None, said: str
) -> None:
    display = Display(Namespace(quiet=True, json=False))
    assert interruption(display) == "interrupted between steps; finished steps are kept"
    ref = PluginRef(kind=kind, name="x", version=1, params={})
    step = PlanStep(name="it", kind=kind, plugin=ref, key="sha256:" + "0" * 64)
    display.started(step)
    if reached is not None:
        display.progress(step, reached)
    assert interruption(display) == said
