"""A corpus of broken recipes: none gives a traceback, all have a place, typos are understood."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from broken import Answer, Case, Tally, answer, cases, measure, typos_of

from khichdi.schema.errors import CODES

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def tallies() -> dict[str, Tally]:
    return measure(cases(seed=57, typos=300))


def everything(tallies: dict[str, Tally]) -> list[Answer]:
    return [found for tally in tallies.values() for found in tally.answers]


def test_none_of_at_least_300_gives_a_traceback_and_all_have_a_place(
    tallies: dict[str, Tally],
) -> None:
    answers = everything(tallies)
    assert len(answers) >= 300
    assert [found.fault for found in answers if found.fault] == []
    assert [found.case for found in answers if not found.placed] == []


def test_typos_are_on_the_right_line_and_suggest_the_right_word(tallies: dict[str, Tally]) -> None:
    typos = typos_of(tallies)
    assert len(typos.answers) == 300
    assert typos.share("right_line") >= 0.95
    assert typos.share("right_word") >= 0.95


@pytest.mark.parametrize("kind", ["key twice", "out of range", "wrong type", "another tool's word"])
def test_other_faults_are_on_the_right_line(tallies: dict[str, Tally], kind: str) -> None:
    assert tallies[kind].share("right_line") >= 0.95


def test_every_word_of_another_tool_is_answered_with_ours(tallies: dict[str, Tally]) -> None:
    for found in tallies["another tool's word"].answers:
        hints = [d.suggestion or "" for d in found.found if d.line == found.case.line]
        assert any("'s word; " in hint for hint in hints), found.case


def test_every_code_of_a_diagnostic_is_in_the_table(tallies: dict[str, Tally]) -> None:
    said = {d.code for found in everything(tallies) for d in found.found}
    written = set()
    for part in ("schema", "compiler", "cli"):
        for file in (ROOT / part).rglob("*.py"):
            if file.name == "migrations.py":  # its `_at` is another: a place in a tree
                written.add("migration")
                continue
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Call) and node.args:
                    name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                    if name in ("diagnose", "_at", "_fault") and len(node.args) > 1:
                        code = node.args[1]
                        written |= {code.value} if isinstance(code, ast.Constant) else set()
    assert len(written) > 10
    assert said | written <= CODES.keys()


def test_faults_of_syntax_do_not_hide_those_of_meaning() -> None:
    text = 'recipe: 1\nname: "no end\nsede: 5\nmodel:\n  base: {use: fils, include: [x]}\ndata: [\n'
    found = answer(Case("both", "", text)).found
    assert [(d.line, d.code) for d in found] == [
        (2, "yaml"),
        (3, "unknown-key"),
        (5, "unknown-plugin"),
        (6, "yaml"),
    ]


def test_one_wrong_value_does_not_hide_a_contradiction_elsewhere() -> None:
    text = (
        "extends: quickstart\nrecipe: 1\nsede: 5\n"
        "data: {tasks: {sample: {use: random, count: 40}}}\n"
    )
    found = answer(Case("both", "", text)).found
    messages = [d.message for d in found]
    assert any("unknown key `sede`" in message for message in messages)
    assert any("48 validation rows asked of a mixture of at most 40" in m for m in messages)
