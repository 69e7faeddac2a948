"""`recipe export-config`: the configuration on standard output, the report beside it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from khichdi.cli.main import main


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    status = main(list(words))
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_a_recipe_that_the_tool_can_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ("export-config", "axolotl", "ziggurat-mistral-02")
    status, out, err = said(capsys, *words)
    assert status == 0
    assert "base_model: mistralai/Mistral-7B-v0.1\n" in out
    assert err.rstrip().endswith("0 not mapped")
    status, out, _ = said(capsys, *words, "-o", "c.yml", "-q")
    assert (status, out) == (0, "wrote c.yml\n")
    status, out, _ = said(capsys, "import", "axolotl", "c.yml", "-q", "-o", "back.yaml")
    assert status == 0
    assert said(capsys, "diff", "back.yaml", "ziggurat-mistral-02")[0] == 0
    assert said(capsys, *words, "-o", "c.yml")[0] == 2


def test_what_is_lost_gives_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = said(capsys, "export-config", "trl", "quickstart", "-q")
    assert status == 1
    assert "not mapped: data.tasks.filters[0]" in err
    assert "# Not mapped: data.tasks.read.use: TRL reads" in out


def test_json_has_the_three_lists(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--json", "--set", "train.learning_rate=1e-3")
    _, out, _ = said(capsys, "export-config", "axolotl", "ziggurat-mistral-01", *words)
    document = json.loads(out)
    assert document["complete"] is True
    entry = next(one for one in document["mapped"] if one["path"] == "train.learning_rate")
    assert entry["theirs"] == {"learning_rate": 0.001}
    assert {one["path"] for one in document["inert"]} >= {"evaluate", "name"}
