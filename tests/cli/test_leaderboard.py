"""`recipe leaderboard` prints a table that fits, one JSON document, and one page."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from khichdi.cli.main import main

TABLE = """\
team,A - EM,A - loss,B - EM,sam_sum - EM
<script>alert(1)</script>,0.9,0.5,0.2,0.1
a team with a name that is far too long to be shown whole on a narrow terminal,0.8,0.4,,0.2
\x1b[31mred\u202e,0.7,0.6,0.3,0.3
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scores.csv").write_text(TABLE, encoding="utf-8")
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> str:
    assert main(["leaderboard", *words]) == status
    shown = capsys.readouterr()
    return shown.out + shown.err


@pytest.mark.parametrize("width", [60, 100])
def test_the_table_fits_and_nothing_in_it_acts(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    out = said(capsys, "scores.csv")
    assert max(map(len, out.splitlines())) <= width
    assert "\x1b" not in out
    assert "\\x1b[31mred\\u202e" in out
    first = out.splitlines()[1].split()
    assert first[0] == "1"
    assert re.search(r"A +0\.", out)


def test_lower_hidden_and_scenarios_can_be_chosen(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--lower", "*loss", "--hidden", "B", "--scenario", "rest=sam_sum*", "--json")
    found = json.loads(said(capsys, "scores.csv", *words))
    assert found["lower_is_better"] == ["A - loss"]
    assert found["hidden"] == ["B"]
    assert found["scenarios"] == {
        "A": ["A - EM", "A - loss"], "B": ["B - EM"], "rest": ["sam_sum - EM"],
    }  # fmt: skip
    second = next(one for one in found["teams"] if one["team"].startswith("a team"))
    assert second["win_rates"]["A - loss"] == 2 / 3
    assert second["values"]["B - EM"] is None
    assert found["published"] == {"figures": 0, "differ": []}


def test_the_page_is_self_contained_and_escaped(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    said(capsys, "scores.csv", "--html", "board.html")
    text = (folder / "board.html").read_text(encoding="utf-8")
    tags: set[str] = set()

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            tags.add(tag)
            assert not {name for name, _ in attrs} & {"src", "onload"}
            links = [value or "" for name, value in attrs if name == "href"]
            assert all(link.startswith("#") for link in links)

    Reader().feed(text)
    assert "script" not in tags
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "\x1b" not in text
    assert "missing" in text


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["nothing.csv"], "there is no finished run nothing.csv"),
        (["scores.csv", "--scenario", "x"], "NAME=PATTERN was expected"),
    ],
)
def test_what_is_wrong_is_said(
    capsys: pytest.CaptureFixture[str], words: list[str], expected: str
) -> None:
    assert expected in said(capsys, *words, status=2)
