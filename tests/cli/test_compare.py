"""`recipe compare` on a terminal of any width, and as one JSON document."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from evaluated import row, scored, write_run

from khichdi.cli.main import main
from khichdi.runtime.store.store import Store

ROWS = [row(number, f"question {number} " + "with words " * 20, "yes") for number in range(12)]


def answers(right: set[int], text: str = "no") -> list[dict[str, Any]]:
    return [scored(n, "yes" if n in right else text, n in right, rouge_l=0.5) for n in range(12)]


@pytest.fixture(autouse=True)
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KHICHDI_STORE", str(tmp_path / "store"))
    store = Store(tmp_path / "store")
    for name, right in {"r8": {0, 1}, "r64": {1, 2, 3}, "a-name-that-is-longer": {5}}.items():
        steps = {
            "evaluate/generate/base": answers({0}),
            "evaluate/generate/adapter": answers(right, "\x1b[2Jno\u202e"),
        }
        write_run(store, name, ROWS, steps)


def said(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> str:
    assert main(["compare", *words]) == status
    shown = capsys.readouterr()
    return shown.out + shown.err


@pytest.mark.parametrize("width", [60, 100])
def test_the_table_has_a_column_for_each_model_and_fits(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    out = said(capsys, "r8", "r64", "--with", "base", "--rows")
    assert max(map(len, out.splitlines())) <= width
    lines = [line.split() for line in out.splitlines()]
    assert ["base", "r8", "r64"] in lines
    assert ["exact_match", "0.0833", "0.1667", "0.2500"] in lines
    assert "r64 - r8, with 95 % intervals" in out
    assert "2 from wrong to right, 1 from right to wrong" in out
    assert "\x1b" not in out
    assert "r8          \\x1b[2Jno\\u202e" in out


def test_long_names_become_letters(capsys: pytest.CaptureFixture[str]) -> None:
    out = said(capsys, "r8", "a-name-that-is-longer")
    assert "A  r8" in out
    assert "B  a-name-that-is-longer" in out
    assert "B - A, with 95 % intervals" in out


def test_json_has_every_changed_row(capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(said(capsys, "r8", "r64", "--json"))
    (pair,) = found["pairs"]
    assert [(one["id"], one["to"]) for one in pair["changed"]] == [
        ("d/f#0", "wrong"), ("d/f#2", "right"), ("d/f#3", "right"),
    ]  # fmt: skip
    assert pair["changed"][0]["after"] == "\x1b[2Jno\u202e"
    assert found["metrics"]["rouge_l"] == [0.5, 0.5]
    same = next(one for one in pair["metrics"] if one["name"] == "rouge_l")
    assert (same["difference"], same["interval"]) == (0.0, [0.0, 0.0])
    assert json.loads(said(capsys, "r8", "r64", "--json")) == found


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["r8", "r8"], "a run is named twice"),
        (["r8", "nope"], "there is no finished run nope"),
        (["r8", "--evaluator", "other"], "evaluators: generate"),
        (["r8", "--confidence", "95"], "a confidence between 0 and 1 was expected"),
        (["r8", "--resamples", "1"], "99 to 1,000,000 resamples"),
        (["r8", "--score", "f1"], "scores: exact_match, rouge_l"),
        (["r8", "-n", "-1"], "0 or more was expected"),
    ],
)
def test_what_is_wrong_is_said(
    capsys: pytest.CaptureFixture[str], words: list[str], expected: str
) -> None:
    assert expected in said(capsys, *words, status=2)
