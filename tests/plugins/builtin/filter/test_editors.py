"""Editors: what they change, what they leave alone, and that twice is as good as once."""

from __future__ import annotations

import html
import json
import os
import random
import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from sizes import sized

from khichdi.plugins.builtin.filter.base.scripts import WORD
from khichdi.plugins.registry import load_registry
from khichdi.plugins.toolkit.tokenization import load_tokenizer
from khichdi.schema.digest import draws

from .conftest import BASE

PIECES = st.sampled_from(
    ["a", "bc ", " ", "  ", "\n", "\r\n", "\n\n\n", "\u3000", "\u2028", "\t", "<b>", "</p>",
     "<br/>", "<", ">", "&", "amp;", "&lt;", "<!--", "-->", "<script>", "####", "Ä", "A\u0308",
     "\ufb01", "İ", "Σ", "ß", "\U0001f600", "\u00e3\u00a9", "12345", "wonderfully"]
)  # fmt: skip
TEXTS = st.lists(PIECES, max_size=14).map("".join) | st.text(max_size=30)

ALWAYS_IDEMPOTENT = [
    ("strip", {}),
    ("collapse-whitespace", {}),
    ("collapse-whitespace", {"lines": "join"}),
    ("normalize-unicode", {}),
    ("normalize-unicode", {"form": "NFKC"}),
    ("strip-html", {"entities": False}),
    ("cut-after", {"marker": "####"}),
    ("cut-after", {"marker": "####", "keep": True}),
    ("lower-case", {}),
    ("truncate-words", {"words": 3, "fields": ["output"]}),
    pytest.param("truncate", {"tokens": 3, "fields": ["output"]}, marks=pytest.mark.heavy),
    pytest.param("truncate", {"tokens": 1, "fields": ["output"]}, marks=pytest.mark.heavy),
]


@pytest.mark.parametrize(("name", "params"), ALWAYS_IDEMPOTENT)
@settings(max_examples=sized(1_000, few=50))
@given(text=TEXTS)
@example(text="<<b>b>x")
@example(text="<scr<b>ipt>x</script>")
def test_twice_is_as_good_as_once(edit, name, params, text):
    [once] = edit(name, params, {"output": text}, draw=[0])
    [twice] = edit(name, params, once, draw=[0])
    assert twice == once


@pytest.mark.parametrize(("name", "params"), ALWAYS_IDEMPOTENT)
def test_every_row_is_edited_alone(edit, name, params):
    rows = [
        {"output": text} for text in ("", "a b c d e", " <p>x</p> #### y", "Ä A\u0308", "a b c d e")
    ]
    together = edit(name, params, *rows, draw=[0] * len(rows))
    alone = [edit(name, params, row, draw=[0])[0] for row in rows]
    assert together == alone


# ---- clean ----------------------------------------------------------------------------------


@given(text=TEXTS)
def test_white_space_is_all_that_collapses(edit, text):
    [row] = edit("collapse-whitespace", {}, {"input": text})
    assert row["input"].split() == text.split()
    assert "\n\n\n" not in row["input"]
    assert "  " not in row["input"]


@pytest.mark.parametrize(
    ("name", "params", "before", "after"),
    [
        ("strip", {}, " \n a  b\t\u3000", "a  b"),
        ("collapse-whitespace", {}, "a \t b \r\n\r\n\n\n c\n", "a b\n\nc"),
        ("collapse-whitespace", {"lines": "join"}, " a \n\n b", "a b"),
        ("normalize-unicode", {}, "A\u0308 \ufb01 x\u00b2", "Ä \ufb01 x\u00b2"),
        ("normalize-unicode", {"form": "NFKC"}, "A\u0308 \ufb01 x\u00b2", "Ä fi x2"),
        ("strip-html", {}, "<p>one</p><p>two &amp; <B class='x'>three</B>", "\none\n\ntwo & three"),
        ("strip-html", {}, "List<int> a < b > c <- d", "List<int> a < b > c <- d"),
        ("strip-html", {}, "a<!-- <b> -->b<script>x()</script >c<style>y{}</style>d", "abcd"),
        ("strip-html", {"entities": False}, "a &lt;b&gt;", "a &lt;b&gt;"),
        ("strip-html", {}, "a &lt;b&gt;", "a <b>"),
        ("replace", {"pattern": r"(\w+)@(\w+)", "by": r"\2 at \1"}, "x@y, a@b", "y at x, b at a"),
        ("replace", {"pattern": "(?i)ANSWER: ", "by": ""}, "answer: 4", "4"),
        ("cut-after", {"marker": "####"}, "so 4.\n#### 4 #### 5", "so 4."),
        ("cut-after", {"marker": "####", "keep": True}, "so 4.\n#### 4", "so 4.\n####"),
        ("cut-after", {"marker": "####"}, "so 4. ", "so 4. "),
        ("lower-case", {}, "ÄB c", "äb c"),
    ],
)
def test_a_text_becomes(edit, name, params, before, after):
    [row] = edit(name, params, {"output": before}, draw=[0])
    assert row["output"] == after


def test_mojibake_is_fixed_and_good_text_is_not(edit):
    pytest.importorskip("ftfy", reason="ftfy is not installed")
    texts = ["cafÃ© â€œyesâ€\x9d", "café “yes” ﬁne ²", "ÃŸ", "plain"]
    rows = edit("fix-mojibake", {}, *({"output": text} for text in texts))
    assert [row["output"] for row in rows] == ["café “yes”", "café “yes” ﬁne ²", "ß", "plain"]
    assert edit("fix-mojibake", {}, *rows) == rows


@given(text=st.text(alphabet=st.characters(codec="utf-8"), max_size=30))
def test_a_text_that_is_escaped_comes_back(edit, text):
    [row] = edit("strip-html", {}, {"output": html.escape(text)})
    assert row["output"] == text


# ---- the rest of the row --------------------------------------------------------------------

TALK = [
    {"role": "user", "text": " Why? "},
    {"role": "assistant", "text": " So. "},
    {"role": "user", "text": " And? "},
]
ROW = {
    "id": "x#0", "task": " t ", "instruction": " Why? ", "input": " in ", "output": " So. ",
    "references": [" So. ", "So.", " Thus "], "turns": TALK,
}  # fmt: skip


def test_references_follow_the_output_and_turns_are_edited_like_the_rest(edit):
    [row] = edit("strip", {}, ROW)
    assert (row["instruction"], row["input"], row["output"]) == ("Why?", "in", "So.")
    assert row["references"] == ["So.", "Thus"]
    assert [turn["text"] for turn in row["turns"]] == ["Why?", "So.", "And?"]
    assert (row["id"], row["task"]) == ("x#0", " t ")


def test_only_the_fields_named_change_and_turns_that_repeat_them(edit):
    [row] = edit("strip", {"fields": ["instruction"]}, ROW)
    assert (row["instruction"], row["output"]) == ("Why?", " So. ")
    assert row["references"] == ROW["references"]
    assert [turn["text"] for turn in row["turns"]] == ["Why?", " So. ", " And? "]


def test_a_fraction_of_the_rows_is_lower_cased_by_their_draw(edit):
    ids = [f"x#{n}" for n in range(2000)]
    rows = [{"id": name, "instruction": "ABC", "output": "X", "references": ["X"]} for name in ids]
    numbers = draws(57, ids)

    after = edit("lower-case", {"fraction": 0.3, "fields": ["instruction"]}, *rows, draw=numbers)

    lowered = {row["id"] for row in after if row["instruction"] == "abc"}
    assert 500 < len(lowered) < 700
    assert {row["instruction"] for row in after} == {"abc", "ABC"}
    assert {row["output"] for row in after} == {"X"}
    more = edit("lower-case", {"fraction": 0.5, "fields": ["instruction"]}, *rows, draw=numbers)
    assert lowered < {row["id"] for row in more if row["instruction"] == "abc"}
    order = list(range(2000))
    random.Random(3).shuffle(order)
    mixed = edit("lower-case", {"fraction": 0.3, "fields": ["instruction"]},
                 *(rows[n] for n in order), draw=[numbers[n] for n in order])  # fmt: skip
    assert {row["id"] for row in mixed if row["instruction"] == "abc"} == lowered


# ---- truncate -------------------------------------------------------------------------------


def stories():
    folder = os.environ.get("KHICHDI_TEST_DATA")
    if not folder:
        pytest.skip("KHICHDI_TEST_DATA is not set: no real data to read")
    lines = Path(folder, "cnn_dailymail/cnndm.jsonl").read_text().splitlines()
    return [json.loads(line)["query"] for line in lines]


@pytest.mark.parametrize("tokens", [1, 64, 512])
def test_real_articles_are_cut_to_their_head_in_whole_words(edit, tokens):
    articles = stories()
    tokenizer = load_tokenizer(BASE)

    rows = edit("truncate", {"tokens": tokens}, *({"input": text} for text in articles))

    cut = 0
    for article, row in zip(articles, rows, strict=True):
        head = row["input"]
        assert article.startswith(head)
        assert len(tokenizer(head, add_special_tokens=False)["input_ids"]) <= tokens
        if head == article:
            continue
        cut += 1
        rest = article[len(head) :]
        assert rest[0].isspace() or " " not in head
        if " " in head:  # The next word would have been too much.
            more = head + rest[: len(rest) - len(rest.lstrip())] + rest.split()[0]
            assert len(tokenizer(more, add_special_tokens=False)["input_ids"]) > tokens
    assert cut > 60


@given(text=TEXTS)
def test_as_many_words_stay_as_are_asked_for(edit, text):
    [row] = edit("truncate-words", {"words": 2}, {"input": text})
    assert re.findall(WORD, row["input"]) == re.findall(WORD, text)[:2]
    assert text.startswith(row["input"])


# ---- render ---------------------------------------------------------------------------------


def test_an_instruction_is_put_after_its_article(edit):
    params = {
        "instruction": "{input}\n\nSummarize the above article in 3 sentences.",
        "input": "",
        "output": "Summary: {output}",
    }
    row = {"input": "Long ago.", "output": "Old.", "references": ["Old.", "Past."]}
    talk = [{"role": "user", "text": ""}, {"role": "assistant", "text": "Old."}]

    [after] = edit("render", params, row | {"turns": talk})

    assert after["instruction"] == "Long ago.\n\nSummarize the above article in 3 sentences."
    assert (after["input"], after["output"]) == ("", "Summary: Old.")
    assert after["references"] == ["Summary: Old.", "Summary: Past."]
    assert [turn["text"] for turn in after["turns"]] == [after["instruction"], "Summary: Old."]


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("render", {}, "set `instruction`, `input` or `output`"),
        ("render", {"input": "{inptu}"}, r"did you mean `\{input\}`"),
        ("render", {"input": "{input"}, "for braces that are meant"),
        ("replace", {"pattern": "(", "by": ""}, "`pattern` is not a regular expression"),
        ("replace", {"pattern": "a", "by": r"\1"}, "`by` does not fit the pattern"),
        ("replace", {"pattern": "a", "by": r"\g<x>"}, "`by` does not fit the pattern"),
        ("lower-case", {"fraction": 30}, "less than or equal to 1"),
        ("truncate", {"tokens": 0}, "greater than or equal to 1"),
        ("strip", {"fields": ["task"]}, "Input should be"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(name, params, message):
    with pytest.raises(ValidationError, match=message):
        load_registry().create("filter", name, params)


def test_normal_forms_are_pythons(edit):
    text = "A\u0308\u1e9b\u0323 \ufdfa \u2460"
    for form in ("NFC", "NFKC"):
        [row] = edit("normalize-unicode", {"form": form}, {"output": text})
        assert row["output"] == unicodedata.normalize(form, text)
