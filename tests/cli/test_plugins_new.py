"""A new distribution installs, is clean, passes its tests and works in a recipe at once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from khichdi.cli.main import main
from khichdi.plugins.kinds import KINDS


def call(*words: str, folder: Path, path: Path) -> str:
    places = os.pathsep.join([str(path), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": places, "KHICHDI_RECORD": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_is_clean(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plugins", "new", "my-own", "--kind", kind, "--into", str(tmp_path)]) == 0
    folder = tmp_path / "khichdi-my-own"
    call("ruff", "check", ".", folder=folder, path=folder)
    call("ruff", "format", "--check", ".", folder=folder, path=folder)


AT_ONCE = ("filter", "rule")
"""Kinds whose starters are installed in every run; the kit holds all of them without that."""
LATER = (pytest.mark.slow, pytest.mark.nightly)
WHERE = {
    **dict.fromkeys(("source", "reader", "scorer", "sampler"), "data: {{tasks: {{{}}}}}"),
    **dict.fromkeys(("quantizer", "adapter"), "model: {{{}}}"),
    **dict.fromkeys(("runtime", "evaluator", "exporter", "rule"), "{}"),
    "filter": "mixture: {{{}}}",
    "template": "train: {{{}}}",
}
"""What stands around a step of a kind in a recipe."""


@pytest.mark.parametrize(
    "kind", [pytest.param(k, marks=() if k in AT_ONCE else LATER) for k in KINDS]
)
def test_it_installs_passes_its_tests_and_is_found(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plugins", "new", "my-own", "--kind", kind, "--into", str(tmp_path)]) == 0
    folder, site = tmp_path / "khichdi-my-own", tmp_path / "site"
    pip = ["pip", "install", "-q", "--no-deps", "--no-index", "--no-build-isolation"]
    call(*pip, "--target", str(site), ".", folder=folder, path=folder)
    assert " passed" in call("pytest", "-q", folder=folder, path=site)
    shown = call("khichdi.cli", "plugins", "show", f"{kind}/my-own", folder=tmp_path, path=site)
    assert "khichdi-my-own 0.1.0" in shown
    # What `plugins show` prints stands in a recipe as it is.
    step = shown.split("in a recipe:\n")[1].strip()
    (tmp_path / "mine.yaml").write_text(
        f"extends: quickstart\nrecipe: 1\n{WHERE[kind].format(step)}\n"
    )
    call("khichdi.cli", "validate", "mine.yaml", folder=tmp_path, path=site)
    checked = call("khichdi.cli", "plugins", "check", f"{kind}/my-own", folder=tmp_path, path=site)
    assert "1 of 1 plugins conform" in checked


def test_nothing_is_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["plugins", "new", "my-own", "--kind", "filter", "--into", str(tmp_path)]
    assert main(words) == 0
    assert main(words) == 2
    assert "is there already" in capsys.readouterr().err
    assert main(["plugins", "new", "My_Own", "--kind", "filter"]) == 2
    assert main(["plugins", "new", "my-own"]) == 2
