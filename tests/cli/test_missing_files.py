"""Files that a recipe names and that are not here are reported before anything is pinned."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from khichdi.cli.main import main

RECIPE = """\
recipe: 1
name: mine
seed: 5
data:
  rows:
    source:
      use: files
      include:
        - INCLUDE
    read: {use: jsonl}
benchmarks:
  asked:
    source: {use: files, folder: FOLDER, include: ["*.jsonl"]}
    read: {use: jsonl}
mixture:
  filters: [{use: decontaminate, against: [asked]}]
"""

MEANT = "did you mean `data/chat.jsonl`?"
LISTED = "data has chat.jsonl, more"
NONE = "no file in this folder matches "


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working folder: `data/chat.jsonl` and a folder in it, and no recipe yet."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data" / "more").mkdir(parents=True)
    (tmp_path / "data" / "chat.jsonl").write_text("{}\n")
    return tmp_path


def write(include: str, folder: str = "data") -> None:
    text = RECIPE.replace("INCLUDE", json.dumps(include)).replace("FOLDER", folder)
    Path("mine.yaml").write_text(text)


def warnings(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, object]]:
    assert main([*words, "--json"]) == 0
    found: list[dict[str, object]] = json.loads(capsys.readouterr().out)["warnings"]
    return found


@pytest.mark.parametrize(
    ("include", "message", "hint"),
    [
        (
            "data/chats.jsonl",
            "there is no file data/chats.jsonl",
            MEANT,
        ),
        ("dat/chat.jsonl", "there is no file dat/chat.jsonl", MEANT),
        ("data/rows.csv", "there is no file data/rows.csv", LISTED),
        (
            "data/*.json",
            NONE + "`data/*.json`",
            LISTED,
        ),
        (
            "**/*.csv",
            NONE + "`**/*.csv`",
            "has data, mine.yaml",
        ),
        ("data/more/*", NONE + "`data/more/*`", "no files in data/more"),
        ("data/more", "data/more is not a file", "it is a folder: `data/more/*` names its files"),
    ],
)
def test_a_pattern_without_a_file_is_a_warning_with_what_was_meant(
    folder: Path, capsys: pytest.CaptureFixture[str], include: str, message: str, hint: str
) -> None:
    write(include)
    (found,) = warnings(capsys, "validate", "mine.yaml")
    assert (found["code"], found["line"], found["column"]) == ("no-file", 9, 11)
    assert (found["file"], found["message"]) == ("mine.yaml", message)
    assert str(found["suggestion"]).endswith(hint)
    assert warnings(capsys, "plan", "mine.yaml") == [found]


@pytest.mark.parametrize("include", ["data/chat.jsonl", "data/*", "**/chat.jsonl", "**"])
def test_nothing_is_said_of_files_that_are_there(
    folder: Path, capsys: pytest.CaptureFixture[str], include: str
) -> None:
    write(include)
    assert warnings(capsys, "validate", "mine.yaml") == []


def test_the_folder_of_a_benchmark_is_looked_for_too(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write("data/chat.jsonl", "date")
    assert main(["validate", "mine.yaml"]) == 0
    out, err = capsys.readouterr()
    assert out == "1 recipe valid\n"
    assert "mine.yaml:13:34: there is no folder date\n" in err
    assert "did you mean `data`?" in err
    write("data/chat.jsonl", "data/chat.jsonl")
    assert main(["plan", "mine.yaml"]) == 0
    assert "data/chat.jsonl is not a folder" in capsys.readouterr().err
    assert main(["plan", "mine.yaml", "-q"]) == 0
    assert capsys.readouterr().err == ""


def test_paths_start_at_the_file_that_wrote_them(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write("data/chat.jsonl")
    (folder / "below").mkdir()
    (folder / "below" / "child.yaml").write_text("extends: ../mine.yaml\nseed: 6\n")
    assert warnings(capsys, "validate", "below/child.yaml") == []


def test_a_step_that_the_plan_ends_before_needs_no_file(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write("data/chat.jsonl", "date")
    assert warnings(capsys, "plan", "mine.yaml", "--until", "data/rows") == []
