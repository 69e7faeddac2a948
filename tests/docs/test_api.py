"""The examples of docs/api.md run as they stand, one after the other."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import khichdi

TEXT = (Path(__file__).parents[2] / "docs" / "api.md").read_text("utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.slow
def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KHICHDI_STORE", raising=False)
    (tmp_path / "script.py").write_text("import khichdi\n\n".join(EXAMPLES), "utf-8")
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    out = done.stdout
    assert "train ran" in out
    assert "identical" in out
    assert "'prediction'" in out
    assert "unknown parameter `rank`" in out
    assert "did you mean quickstart.yaml, which ships?" in out
    assert "evaluate/generate/adapter 48" in out


def test_the_first_example_is_a_short_script() -> None:
    lines = [line for line in EXAMPLES[0].splitlines() if line.strip()]
    assert len(lines) <= 15


def test_every_public_name_is_in_the_table() -> None:
    table = TEXT.split("| name | is |")[1].split("\n\n")[0]
    named = set(re.findall(r"^\| `(\w+)", table, re.MULTILINE))
    assert named == {name for name in khichdi.__all__ if name != "__version__"}
