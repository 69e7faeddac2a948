"""Statistics of rows, recounted by hand, and rows written in each format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import csv, parquet

from khichdi.runtime.curation.rows import StepRows, drawn
from khichdi.runtime.curation.statistics import BINS, Statistics, statistics
from khichdi.runtime.curation.texts import prompts, whole_texts, word_counts
from khichdi.runtime.curation.write import json_lines, write_rows
from khichdi.schema.errors import InputError
from khichdi.schema.record import Record
from khichdi.schema.rows import row_schema

EMPTY: dict[str, Any] = {
    field.name: "" if field.type == pa.string() else [] for field in row_schema()
}
RECORD = Record.model_construct(steps=())


def table(*rows: dict[str, Any]) -> pa.Table:
    whole = [
        {**EMPTY, "id": f"{row['source']}/f#{number}", **row} for number, row in enumerate(rows)
    ]
    return pa.Table.from_pylist(whole, schema=row_schema())


def row(source: str, text: str, answer: str = "yes", **more: Any) -> dict[str, Any]:
    return {"source": source, "input": text, "output": answer, **more}


def counted(found: pa.Table) -> Statistics:
    return statistics(StepRows("mixture", found), RECORD)


def test_composition_is_counted_most_frequent_first() -> None:
    found = counted(
        table(
            row("b", "one", task="sum", license="mit"),
            row("a", "two", task="sum"),
            row("a", "three", task="join", license="MIT"),
            row("a", "four", license="MIT"),
        )
    )
    assert list(found.sources.items()) == [("a", 3), ("b", 1)]
    assert list(found.tasks.items()) == [("sum", 2), ("join", 1)]
    assert found.licenses == {"MIT": 3, "": 1}, "in the spelling that most rows have"


def test_lengths_are_quantiles_by_the_nearest_rank_and_a_histogram_of_all_rows() -> None:
    sizes = [3, 5, 8, 400, *[10] * 96]
    found = counted(table(*(row("a", " ".join(["w"] * (size - 1))) for size in sizes)))
    (words,) = [one for one in found.lengths if one.unit == "words"]
    ordered = sorted(sizes)
    assert words.quantiles == {"p50": ordered[49], "p90": ordered[89], "p99": 10, "max": 400}
    assert sum(count for _, _, count in words.bins) == words.count == 100
    assert len(words.bins) <= BINS
    assert words.bins[-1] == (23, 401, 1), "the last bar has all that is longer"
    for first, end, count in words.bins:
        assert count == sum(first <= size < end for size in sizes)


def test_words_of_scripts_without_spaces_are_their_characters() -> None:
    found = word_counts(pa.array(["two words", "東京タワー", "ไทย x", "", "a\u3000b\u00a0c"]))
    assert found.to_pylist() == [2, 5, 4, 0, 3]


def test_a_conversation_is_its_turns_and_its_prompt_all_but_the_last_answer() -> None:
    turns = [
        {"role": "user", "text": "hello", "extra": ""},
        {"role": "assistant", "text": "hi", "extra": ""},
    ]
    found = table(row("a", "plain"), {"source": "a", "turns": turns, "output": "hi"}).slice(0)
    assert whole_texts(found).to_pylist() == ["\nplain\nyes", "hello\nhi"]
    assert prompts(found).to_pylist() == ["\nplain", "hello"]
    assert whole_texts(found.slice(1)).to_pylist() == ["hello\nhi"], "of a slice too"


def test_overlap_is_by_prompt_and_by_text_within_and_between_parts() -> None:
    found = counted(
        table(
            row("a", "The cat.", "x"),
            row("a", "the  CAT", "y"),
            row("b", "the cat", "x"),
            row("b", "alone", "x"),
        )
    )
    seen = {(one.one, one.other, one.compared): one.rows for one in found.overlaps}
    assert seen == {
        ("a", "a", "prompt"): 1,
        ("a", "b", "prompt"): 2,
        ("b", "a", "prompt"): 1,
        ("a", "b", "text"): 1,
        ("b", "a", "text"): 1,
    }


def test_validation_rows_that_are_in_training_are_found() -> None:
    rows = table(row("a", "same"), row("a", "other"), row("a", "same", "no"))
    split = rows.append_column("split", pa.array(["train", "train", "validation"]))
    found = statistics(StepRows("split", split), RECORD)
    assert found.sides == {"train": 2, "validation": 1}
    sides = [one for one in found.overlaps if one.one == "validation"]
    assert [(one.other, one.compared, one.rows) for one in sides] == [("train", "prompt", 1)]


def test_lengths_in_tokens_are_of_the_samples_in_packs() -> None:
    rows = table(row("a", "x"), row("b", "y"))
    packs = pa.table({"ids": [["a/f#0", "b/f#1"]], "lengths": [[7, 3]]})
    found = statistics(StepRows("split", rows), RECORD, [packs])
    tokens = {one.of: one for one in found.lengths if one.unit == "tokens"}
    assert {name: one.quantiles["max"] for name, one in tokens.items()} == {
        "all": 7,
        "a": 7,
        "b": 3,
    }
    wrapped = pa.table({"ids": [["a/f#0", "b/f#1"]], "lengths": [[10]]})
    found = statistics(StepRows("split", rows), RECORD, [wrapped])
    assert not [one for one in found.lengths if one.unit == "tokens"]
    assert "no lengths" in found.tokens_note


def test_phrases_count_rows_not_repetitions() -> None:
    pytest.importorskip("regex")
    found = counted(table(row("a", "to be or not to be or not"), row("a", "to be or not")))
    assert found.phrases[0] == ("to be or not", 2)


def test_languages_are_identified_and_texts_without_letters_are_not() -> None:
    pytest.importorskip("py3langid")
    english = "This is a sentence about the weather, which was good all day."
    german = "Dies ist ein Satz über das Wetter, das den ganzen Tag schön war."
    found = counted(table(row("a", english), row("a", german, "ja"), row("a", "1 + 1", "2")))
    assert found.languages == {"de": 1, "en": 1, "und": 1}


HOSTILE = row("a", 'comma, "quote"\n\x1b[2J\u202e', categories=["x", "y"], license="mit")


def test_rows_come_back_from_every_format(tmp_path: Path) -> None:
    rows = table(HOSTILE, row("b", "plain"))
    for name in ("rows.jsonl", "rows.csv", "rows.parquet"):
        write_rows(rows, tmp_path / name, {"recipe": "r", "step": "split"})
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "rows.csv",
        "rows.jsonl",
        "rows.parquet",
    ]
    lines = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert lines == rows.to_pylist()
    read = parquet.read_table(tmp_path / "rows.parquet")
    assert read.to_pylist() == rows.to_pylist()
    assert read.schema.metadata[b"khichdi.step"] == b"split"
    parsed = csv.read_csv(
        tmp_path / "rows.csv", parse_options=csv.ParseOptions(newlines_in_values=True)
    )
    assert parsed.column("input").to_pylist() == rows.column("input").to_pylist()
    assert json.loads(parsed.column("categories")[0].as_py()) == ["x", "y"]


def test_printed_rows_cannot_act_on_a_terminal() -> None:
    (line,) = json_lines(table(HOSTILE))
    assert "\x1b" not in line
    assert "\u202e" not in line
    assert json.loads(line)["input"] == HOSTILE["input"]


def test_an_unknown_format_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no known format"):
        write_rows(table(), tmp_path / "rows.xlsx", {})
    assert not list(tmp_path.iterdir())


def test_the_rows_drawn_follow_from_seed_and_ids_not_from_order() -> None:
    rows = table(*(row("a", str(number)) for number in range(50)))
    ids = {one["id"] for one in drawn(StepRows("s", rows), 5, 7)}
    turned = rows.take(pa.array(range(49, -1, -1)))
    assert {one["id"] for one in drawn(StepRows("s", turned), 5, 7)} == ids
    assert {one["id"] for one in drawn(StepRows("s", rows), 5, 8)} != ids
    assert len(drawn(StepRows("s", rows), 99, 7)) == 50
