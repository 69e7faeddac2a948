"""The page of the first minutes shows what `recipe new` prints and writes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from khichdi.cli.main import main
from khichdi.project.first_recipe.recipe_text import STARTERS

PAGE = (Path(__file__).parents[2] / "docs" / "start.md").read_text(encoding="utf-8")


def chat(number: int) -> dict[str, Any]:
    turns = [
        {"role": "user", "content": f"Where is order {number}?"},
        {"role": "assistant", "content": "It left on Monday. " * (1 + number % 50)},
    ]
    if number % 42 == 41:
        turns.append({"role": "user", "content": "Thanks."})
    return {"id": number, "messages": turns}


def test_the_example_is_what_the_command_prints_and_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [json.dumps(chat(number)) for number in range(210)]
    Path("chats.jsonl").write_text("\n".join(lines) + "\n")
    shown = re.findall(r"```\w*\n(.*?)```", PAGE, re.DOTALL)
    command, output = shown[0].split("\n", 1)
    assert main(command.split()[2:]) == 0
    assert capsys.readouterr().out == output
    assert Path("support-bot.yaml").read_text() == shown[1]


def test_every_starter_is_on_the_page() -> None:
    part = PAGE.split("| starter |")[1].split("\n\n")[0]
    assert re.findall(r"^\| `(\w+)`", part, re.MULTILINE) == list(STARTERS)
