"""`recipe predictions` lists, filters and exports the answers of an evaluation."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from evaluated import row, scored, write_run

from khichdi.cli.main import main
from khichdi.cli.wrap import field
from khichdi.project.run_lookup import open_run
from khichdi.runtime.store.store import Store

LONG = "a long question with many words " * 12
ROWS = [
    row(0, "Italy?", "Rome", instruction="Name the capital."),
    row(1, "France?", "Paris", references=["Paris", "paris, of course"]),
    row(2, LONG, "yes"),
    row(
        3,
        "",
        "Four.",
        turns=[
            {"role": "user", "text": "One and one?", "extra": ""},
            {"role": "assistant", "text": "Two.", "extra": ""},
            {"role": "user", "text": "And two more?", "extra": ""},
            {"role": "assistant", "text": "Four.", "extra": ""},
        ],
    ),
]
ANSWERS = [
    scored(0, "Rome", True, rouge_l=1.0),
    scored(1, 'Lyon\n\x1b[31m,\u202e"x"', False, rouge_l=0.25),
    scored(2, "no", False, rouge_l=0.0),
    scored(3, "Four.", True, rouge_l=1.0),
]
BASE = [scored(number, "?", False, rouge_l=0.0) for number in range(4)]
OTHER = [{"id": "mc/1", "prompt": "2+2", "references": ["4"], "prediction": "4", "loss": 2.5}]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KHICHDI_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("COLUMNS", "100")
    steps = {
        "evaluate/generate/base": BASE,
        "evaluate/generate/adapter": ANSWERS,
        "evaluate/choices/base": OTHER,
        "evaluate/choices/adapter": OTHER,
    }
    return write_run(Store(tmp_path / "store"), "2026-03-01-1200Z-pico", ROWS, steps)


def said(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> str:
    assert main(list(words)) == status
    shown = capsys.readouterr()
    return shown.out + shown.err


def document(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    return json.loads(said(capsys, "predictions", "latest", *words, "--json"))


def ids(found: Any) -> list[str]:
    return [one["id"].removeprefix("d/f#") for one in found["predictions"]]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "0123"),
        (["--wrong"], "12"),
        (["--right"], "03"),
        (["--wrong", "--score", "rouge_l"], "12"),
        (["--search", "ROME"], "0"),
        (["--search", "of course"], "1"),
        (["--search", "capital"], "0"),
        (["--search", "f#3"], "3"),
        (["--wrong", "--search", "lyon"], "1"),
        (["-n", "2"], "01"),
        (["--base", "--right"], ""),
        (["--base", "--wrong", "--limit", "1"], "0"),
        (["--evaluator", "evaluate/generate/base", "--wrong"], "0123"),
    ],
)
def test_rows_are_chosen(
    run: Path, capsys: pytest.CaptureFixture[str], words: list[str], expected: str
) -> None:
    assert ids(document(capsys, *words)) == list(expected)


def test_json_is_exact_and_says_what_it_is_of(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = document(capsys, "--search", "lyon")
    assert found["evaluation"] == "evaluate/generate/adapter"
    assert (found["evaluator"], found["model"]) == ("generate", "adapter")
    assert found["right_by"] == {"generate": "exact_match"}
    assert (found["rows"], found["matching"], found["run"]) == (4, 1, str(run))
    assert found["predictions"] == [
        {
            "id": "d/f#1",
            "prompt": "France?",
            "references": ["Paris", "paris, of course"],
            "prediction": ANSWERS[1]["prediction"],
            "scores": {"exact_match": 0.0, "rouge_l": 0.25},
            "group": "",
            "details": {},
        }
    ]


def test_a_chat_is_asked_up_to_its_last_answer(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (found,) = document(capsys, "--search", "#3")["predictions"]
    assert found["prompt"] == "user: One and one?\nassistant: Two.\nuser: And two more?"
    assert found["references"] == ["Four."]


def test_csv_can_be_read_back_and_nothing_in_it_acts_on_a_terminal(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = said(capsys, "predictions", "latest", "--csv")
    head, *rows = list(csv.reader(io.StringIO(out)))
    assert head == ["id", "prompt", "references", "prediction", "exact_match", "rouge_l"]
    assert rows[1] == [
        "d/f#1", "France?", "Paris\nparis, of course", 'Lyon\n\\x1b[31m,\\u202e"x"', "0.0", "0.25",
    ]  # fmt: skip
    assert len(rows) == 4
    assert rows[2][1] == LONG


@pytest.mark.parametrize("width", [60, 100])
def test_text_fits_the_terminal(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    out = said(capsys, "predictions", "latest")
    assert max(len(line) for line in out.splitlines()) <= width
    assert "evaluate/generate/adapter\n  4 rows: 2 right, 2 wrong by exact_match" in out
    assert "prediction  Lyon\\n\\x1b[31m,\\u202e" in out
    assert "\x1b" not in out
    assert "…" in out
    whole = " ".join(said(capsys, "predictions", "latest", "-v").split())
    assert LONG.strip() in whole
    assert "…" not in whole


def test_wide_characters_and_long_words_fit_too() -> None:
    from rich.cells import cell_len

    for text in ("漢字" * 60, "word " + "x" * 200, "a " * 100, "ab 漢字漢字漢 " * 20, ""):
        for width in (40, 61, 100):
            lines = field("prompt", text, width)
            assert max(map(cell_len, lines)) <= width
            joined = "".join(line[16:] for line in lines)
            assert joined.replace(" ", "") == text.replace(" ", "")
            assert len(field("prompt", text, width, 2)) == min(2, len(lines))
            assert max(map(cell_len, field("prompt", text, width, 2))) <= width


def test_an_evaluator_with_prompts_of_its_own_is_shown_with_them(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (found,) = document(capsys, "--evaluator", "choices")["predictions"]
    assert (found["prompt"], found["references"], found["scores"]) == ("2+2", ["4"], {"loss": 2.5})
    assert document(capsys, "--evaluator", "choices")["right_by"] == {}
    out = said(capsys, "predictions", "latest", "--evaluator", "choices", "--wrong", status=2)
    assert "no score says which of these answers are right" in out
    assert "scores: loss" in out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--evaluator", "genrate"], "did you mean `generate`?"),
        (["--evaluator", "zzz"], "evaluators: generate, choices"),
        (["--score", "rouge"], "scores: exact_match, rouge_l"),
        (["--csv", "--json"], "exclude each other"),
        (["-n", "-1"], "0 or more was expected"),
        (["--wrong", "--right"], "not allowed with"),
    ],
)
def test_what_is_wrong_is_said(
    run: Path, capsys: pytest.CaptureFixture[str], words: list[str], expected: str
) -> None:
    assert expected in said(capsys, "predictions", "latest", *words, status=2)


def test_a_run_without_evaluation_says_how_to_get_one(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(Store(tmp_path / "store"), "2026-03-02-1200Z-pico", ROWS, {})
    out = said(capsys, "predictions", "latest", status=2)
    assert "has no evaluation" in out
    assert "add `evaluate:` to the recipe" in out


def test_the_api_reads_the_same(run: Path) -> None:
    found = open_run(run).scored_rows()
    assert [one.scores["exact_match"] for one in found] == [1.0, 0.0, 0.0, 1.0]
    assert found[0].prompt == "Name the capital.\n\nItaly?"
