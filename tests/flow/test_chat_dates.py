"""Chat templates that write the day or rewrite answers: the plan says so, and no clock decides."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .conftest import Workdir
from .test_chat import DATA

DATED = (
    "{{ 'Today: ' + strftime_now('%d %b %Y') + '\\n' }}{% for m in messages %}"
    "{{ '<' + m.role + '>' + m.content + '<end>' }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
FORGETS = (
    "{% for m in messages %}{{ '<' + m.role + '>' }}"
    "{% if m.role == 'assistant' and loop.last %}<think></think>{% endif %}"
    "{{ m.content + '<end>' }}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
)
LEAVES_THOUGHTS = FORGETS.replace(
    "and loop.last %}<think></think>", "and loop.last and m.thinking %}{{ m.thinking }}"
)
MARKED = (
    "{% for m in messages %}{{ '<' + m.role + '>' }}{% if m.role == 'assistant' %}"
    "{% generation %}{{ m.content + '<end>' }}{% endgeneration %}{% else %}"
    "{{ m.content + '<end>' }}{% endif %}{% endfor %}"
)


@pytest.fixture
def chats(workdir: Workdir) -> Workdir:
    lines = []
    for n in range(12):
        talk = [("user", f"Question {n}?"), ("assistant", f"Answer {n}.")] * 2
        messages = [{"role": role, "content": content} for role, content in talk]
        lines.append(json.dumps({"messages": messages}))
    (workdir.folder / "chats.jsonl").write_text("\n".join(lines) + "\n")
    text = workdir.recipe.read_text()
    start, end = text.index("data:\n"), text.index("train:\n")
    workdir.recipe.write_text(text[:start] + DATA + text[end:])
    workdir.edit("template: {use: alpaca}", "template: {use: chat}")
    workdir.edit("num_epochs: 3", "max_steps: 3")
    return workdir


def give_base(workdir: Workdir, template: str) -> None:
    """Write a chat template beside the base's tokenizer."""
    (workdir.folder / "base" / "chat_template.jinja").write_text(template)


@pytest.mark.parametrize(
    ("template", "history", "words"),
    [
        (FORGETS, "per-answer", "rewritten once another turn follows"),
        (LEAVES_THOUGHTS, "as-written", "unless it has reasoning"),
        (MARKED, "as-written", "the template marks what is answered"),
    ],
    ids=["forgets", "leaves-thoughts", "marked"],
)
def test_the_plan_names_the_history(
    chats: Workdir, template: str, history: str, words: str
) -> None:
    give_base(chats, template)
    found = chats.json("plan", "pico.yaml")["chat"]
    assert found["history"] == history
    assert words in found["reason"]
    status, out, _ = chats.call("plan", "pico.yaml")
    assert status == 0
    assert f"{history}: {found['reason']}" in out
    chosen = chats.json("plan", "pico.yaml", "--set", "train.template.history=per-answer")["chat"]
    assert chosen == {"history": "per-answer", "reason": "by the recipe"}


def test_a_template_without_chats_has_no_history_to_name(workdir: Workdir) -> None:
    assert workdir.json("plan", "pico.yaml")["chat"] is None
    assert "chats " not in workdir.call("plan", "pico.yaml")[1]


@pytest.mark.parametrize("command", ["plan", "lock", "run"])
def test_a_base_whose_template_reads_the_clock_needs_a_day(chats: Workdir, command: str) -> None:
    give_base(chats, DATED)
    status, _, err = chats.call(command, "pico.yaml")
    assert status == 2
    assert f"pico.yaml:{line_of(chats.recipe, 'template:')}:" in err
    assert "writes the day on which it is rendered (strftime_now)" in err
    assert "date: 2026-11-26" in err


def test_a_template_of_the_recipe_that_reads_the_clock_is_not_valid(chats: Workdir) -> None:
    (chats.folder / "own.jinja").write_text(DATED)
    chats.edit("template: {use: chat}", "template: {use: chat, jinja: own.jinja}")
    found = chats.json("validate", "pico.yaml", status=2)["diagnostics"]
    assert ["strftime_now" in one["message"] for one in found] == [True]
    assert found[0]["line"] == line_of(chats.recipe, "template:")
    chats.edit("jinja: own.jinja", "jinja: own.jinja, date: 2026-11-26")
    assert chats.json("validate", "pico.yaml")["valid"]


def line_of(path: Path, words: str) -> int:
    lines = path.read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if words in line)


@pytest.mark.slow
def test_a_run_passes_its_audit_on_another_day(chats: Workdir) -> None:
    """The clock of each process is another one: its record is of that day, its tokens are not."""
    give_base(chats, DATED)
    chats.edit("template: {use: chat}", "template: {use: chat, date: 2026-11-26}")
    first = on_day(chats, "2026-11-26 12:00:00", "run", "pico.yaml")
    assert started(first) == "2026-11-26"
    audit = on_day(chats, "2027-03-01 09:00:00", "audit", first["run"], "--rerun")
    assert audit["verdict"] == "identical"
    assert {level["verdict"] for level in audit["levels"]} == {"identical"}

    elsewhere = Workdir(chats.folder, {"KHICHDI_STORE": str(chats.folder / "later")})
    later = on_day(elsewhere, "2027-03-01 09:00:00", "run", "pico.yaml")
    assert started(later) == "2027-03-01"
    assert later["result_hash"] == first["result_hash"]
    chats.edit("date: 2026-11-26", "date: 2027-03-01")
    other = on_day(chats, "2026-11-26 12:00:00", "run", "pico.yaml")
    assert other["recipe_hash"] != first["recipe_hash"]
    assert other["result_hash"] != first["result_hash"]


def on_day(workdir: Workdir, moment: str, *words: str) -> Any:
    """Run a command in a process whose clock starts at a moment."""
    faketime = pytest.importorskip("libfaketime")
    _, variables = faketime.get_reload_information()
    # Without this, each look at the clock would read the variable again.
    variables = {name: text for name, text in variables.items() if name != "FAKETIME_NO_CACHE"}
    process = subprocess.run(
        [sys.executable, "-m", "khichdi.cli", *words, "--json"],
        cwd=workdir.folder,
        env={**workdir.variables(), **variables, "FAKETIME": f"@{moment}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    return json.loads(process.stdout)


def started(document: Any) -> str:
    record = json.loads((Path(document["run"]) / "record.json").read_text())
    return str(record["started"])[:10]
