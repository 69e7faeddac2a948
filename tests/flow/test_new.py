"""Recipes that `recipe new` writes for a file run to their end."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .conftest import Workdir

TEMPLATE = (
    "{% for m in messages %}{{ '<' + m.role + '>' + m.content + eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<assistant>' }}{% endif %}"
)


def messages(number: int) -> dict[str, Any]:
    asked = {"role": "user", "content": f"What is the capital of number {number}?"}
    said = {"role": "assistant", "content": "Paris."}
    return {"messages": [asked, said, asked] if number % 10 == 9 else [asked, said]}


def instruction(number: int) -> dict[str, Any]:
    return {"instruction": "Give the plural.", "input": f"mouse {number}", "output": "mice"}


@pytest.mark.nightly
@pytest.mark.slow
@pytest.mark.parametrize(("make", "template"), [(messages, "chat"), (instruction, "alpaca")])
def test_a_recipe_for_a_file_runs(workdir: Workdir, make: Any, template: str) -> None:
    (workdir.folder / "base" / "chat_template.jinja").write_text(TEMPLATE)
    lines = [json.dumps(make(number)) for number in range(30)]
    (workdir.folder / "rows.jsonl").write_text("\n".join(lines) + "\n")
    new = workdir.json("new", "mine", "--data", "rows.jsonl", "--base", "base")
    assert new["data"]["rows"] == (27 if make is messages else 30)
    assert f"template: {{use: {template}}}" in (workdir.folder / "mine.yaml").read_text()
    done = workdir.json("run", "mine.yaml")
    assert done["metrics"]["eval_loss"] > 0
    assert {step["name"]: step["status"] for step in done["steps"]}["train"] == "ran"
