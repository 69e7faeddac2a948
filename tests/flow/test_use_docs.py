"""What docs/use.md shows is what happens, on a run."""

from __future__ import annotations

import re
import shlex
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from khichdi.cli.main import main

from .conftest import Workdir

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "use.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
COMMANDS = [line for kind, body in BLOCKS if kind == "sh" for line in body.splitlines()]


@pytest.mark.parametrize(
    "line", [one for one in COMMANDS if one.split()[1] in ("generate", "chat")]
)
def test_a_command_works(
    shared_run: tuple[Workdir, Any],
    line: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("KHICHDI_STORE", str(shared_run[0].folder / "store"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", StringIO("Name a capital.\n"))
    (tmp_path / "prompts.jsonl").write_text('"Name a capital."\n')
    assert main([*shlex.split(line)[1:], "--max-new-tokens", "3"]) == 0
    assert capsys.readouterr().out


@pytest.mark.slow
def test_the_exports_work(
    own_run: tuple[Workdir, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KHICHDI_STORE", str(own_run[0].folder / "store"))
    monkeypatch.chdir(tmp_path)
    lines = [line for line in COMMANDS if line.split()[1] == "export"]
    assert len(lines) == 4
    for line in lines:
        assert main(shlex.split(line)[1:]) == 0
        assert any((tmp_path / line.split()[-1]).iterdir())


def test_the_python_works(
    shared_run: tuple[Workdir, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("KHICHDI_STORE", str(shared_run[0].folder / "store"))
    [code] = [body for kind, body in BLOCKS if kind == "python" and "khichdi" in body]
    exec(compile(code, "use.md", "exec"), {})
    assert len(eval(capsys.readouterr().out)) == 3
