"""Filters by counts and by phrases, on real rows beside a plain recount."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from khichdi.plugins import Drop, SourceFile
from khichdi.plugins.builtin.filter.refusals import PHRASES
from khichdi.plugins.registry import load_registry
from khichdi.plugins.toolkit.tokenization import load_tokenizer

from .conftest import BASE


@pytest.fixture(scope="module")
def real():
    folder = os.environ.get("KHICHDI_TEST_DATA")
    if not folder:
        pytest.skip("KHICHDI_TEST_DATA is not set: no real data to read")
    return Path(folder)


def test_answers_that_refuse_are_dropped_with_the_phrase(reasons):
    answers = [
        "As a  language\nmodel, I cannot.", "I\u2019m sorry, but no.", "I'm sorry, but no.",
        "He was sorry.", "as an aim", "Basically, as an AI I think", "I can.",
    ]  # fmt: skip
    found = reasons("refusals", {}, *({"output": text} for text in answers))
    assert found == [
        Drop("refusal", "As a  language\nmodel"), Drop("refusal", "I\u2019m sorry, but"),
        Drop("refusal", "I'm sorry, but"), None, None, Drop("refusal", "as an AI"), None,
    ]  # fmt: skip
    named = reasons("refusals", {"phrases": ["sorry"]}, *({"output": text} for text in answers))
    assert [drop is not None for drop in named] == [False, True, True, True, False, False, False]


def test_every_phrase_of_the_list_is_found(reasons):
    found = reasons("refusals", {}, *({"output": f"Well, {p.upper()}..."} for p in PHRASES))
    assert all(drop is not None for drop in found)


def replies(message):
    for reply in message["replies"]:
        yield reply["text"]
        yield from replies(reply)


def test_open_assistant_replies_lose_what_the_team_dropped(reasons, real):
    lines = (real / "oasst1/en_100_tree.jsonl").read_text().splitlines()
    texts = [text for line in lines for text in replies(json.loads(line)["prompt"])]
    phrases = ["as a language model", "sorry"]

    found = reasons("refusals", {"phrases": phrases}, *({"output": text} for text in texts))

    expected = [
        any(re.search(rf"\b{phrase}\b", text.lower()) for phrase in phrases) for text in texts
    ]
    assert [drop is not None for drop in found] == expected
    assert 0 < sum(expected) < len(expected)


def rows_of(reader, file):
    found = load_registry().create("reader", reader, {}).read([SourceFile(file.name, file)])
    return [row for batch in found for row in batch.to_pylist()]


def test_references_are_counted(reasons, real):
    file = real / "natural_instructions/task1412_web_questions_question_answering.json"
    rows = rows_of("natural-instructions", file)

    found = reasons("reference-count", {"below": 2}, *rows)

    written = [i["output"] for i in json.loads(file.read_text())["Instances"]]
    assert found == ["too-many-references" if len(set(output)) > 1 else None for output in written]
    assert reasons("reference-count", {"at_least": 1}, {"references": []}) == ["too-few-references"]


def test_characters_and_tokens_are_counted_over_fields_together(reasons, real):
    records = json.loads((real / "lima/lima.json").read_text())[:200]
    rows = [{"instruction": r["instruction"], "output": r["output"]} for r in records]
    tokenizer = load_tokenizer(BASE)

    def judged(count):
        return "too-short" if count < 400 else "too-long" if count >= 900 else None

    bounds = {"at_least": 400, "below": 900}
    characters = reasons("character-count", bounds, *rows)
    tokens = reasons("token-count", bounds | {"fields": ["instruction", "output"]}, *rows)

    assert characters == [judged(len(r["instruction"]) + len(r["output"])) for r in rows]
    assert tokens == [
        judged(sum(len(tokenizer.tokenize(text)) for text in r.values())) for r in rows
    ]
    assert {None, "too-short", "too-long"} == set(characters) == set(tokens)


@pytest.mark.parametrize(
    ("params", "kept"),
    [
        ({"contains": "b"}, [1, 2]),
        ({"contains": "B", "ignore_case": True}, [1, 2]),
        ({"contains": "a.b"}, []),
        ({"equals": "ABC", "ignore_case": True}, [2]),
        ({"one_of": ["A", "STRASSE"], "ignore_case": True}, [0, 3]),
        ({"matches": "^A", "ignore_case": True}, [0, 1, 2]),
        ({"matches": "^A"}, []),
        ({"contains": "b", "negate": True}, [0, 3]),
    ],
)
def test_where_looks_inside_texts_and_past_their_case(reasons, params, kept):
    rows = [{"input": text} for text in ("a", "ab", "abc", "straße")]
    found = reasons("where", {"field": "input"} | params, *rows)
    assert [n for n, reason in enumerate(found) if reason is None] == kept


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("token-count", {}, "set `at_least`, `below`, or both"),
        ("token-count", {"at_least": 5, "below": 5}, "no number is at least 5 and below 5"),
        ("refusals", {"phrases": [" "]}, "at least 1 character"),
        ("where", {"field": "input", "ignore_case": True}, "`contains`: found none"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(name, params, message):
    with pytest.raises(ValidationError, match=message):
        load_registry().create("filter", name, params)
