"""Orders of the mixture, and rows that are held out."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from steps import Bench, rows, table

from khichdi.runtime.steps.context import Outcome
from khichdi.schema.errors import StepError


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def split(
    bench: Bench,
    data: pa.Table,
    order: str = "shuffle",
    weights: Any = None,
    seed: int = 57,
    **validation: Any,
) -> Outcome:
    wanted = {"count": None, "fraction": None, **validation}
    said = {"order": order, "weights": weights, "validation": wanted if validation else None}
    return bench.run("split", {"rows": bench.put(data)}, settings=said, seed=seed)


def column(outcome: Outcome, name: str = "id", output: str = "train") -> list[Any]:
    found: list[Any] = table(outcome, output).column(name).to_pylist()
    return found


def both(*tables: pa.Table) -> pa.Table:
    return pa.concat_tables(tables)


def test_shuffling_depends_on_seed_and_ids_alone(bench: Bench) -> None:
    data = both(rows("a", 60), rows("b", 40))
    before = column(split(bench, data))
    turned = data.take(list(reversed(range(100))))
    assert column(split(bench, turned)) == before
    assert column(split(bench, data, seed=58)) != before
    assert sorted(before) == sorted(data.column("id").to_pylist()) != before
    alone = column(split(bench, rows("a", 60)))
    assert alone == [row for row in before if row.startswith("a/")]


def test_by_source_keeps_each_data_set_together(bench: Bench) -> None:
    data = both(rows("a", 5), rows("b", 5))
    assert column(split(bench, data, "by-source")) == data.column("id").to_pylist()


def test_interleaving_gives_each_data_set_its_share_of_every_stretch(bench: Bench) -> None:
    data = both(rows("a", 300), rows("b", 100), rows("c", 100))
    outcome = split(bench, data, "interleave", {"a": 3.0, "b": 1.0, "c": 1.0})
    sources = column(outcome, "source")
    for start in range(0, 500, 5):
        assert Counter(sources[start : start + 5]) == {"a": 3, "b": 1, "c": 1}
    assert column(outcome) == column(split(bench, data, "interleave"))  # by number of rows
    own = [row for row in column(outcome) if row.startswith("a/")]
    assert own != sorted(own)


def test_an_interleaved_data_set_that_ends_leaves_the_others_in_proportion(bench: Bench) -> None:
    data = both(rows("a", 10), rows("b", 200), rows("c", 100))
    sources = column(split(bench, data, "interleave", {"a": 2, "b": 2, "c": 1}), "source")
    assert Counter(sources[:25]) == {"a": 10, "b": 10, "c": 5}
    assert set(sources[25:]) == {"b", "c"}
    assert all(Counter(sources[n : n + 3])["c"] == 1 for n in range(25, 300, 3))


def data_ids(data: pa.Table, text: str) -> set[str]:
    return {row["id"] for row in data.select(["id", "input"]).to_pylist() if row["input"] == text}


def test_a_curriculum_starts_with_short_texts_and_counts_whole_conversations(bench: Bench) -> None:
    texts = ["x" * (n % 7 + 1) for n in range(40)]
    talk: list[Any] = [[] for _ in texts]
    talk[0] = [{"role": "user", "text": "y" * 50}, {"role": "assistant", "text": "z" * 50}]
    data = rows("a", texts, turns=talk)
    outcome = split(bench, data, "short-first")
    lengths = [len(text) for text in column(outcome, "input")]
    assert lengths[:-1] == sorted(lengths[:-1])
    assert column(outcome)[-1] == "a/f.jsonl#0"
    ones = [row for row in column(outcome) if row in data_ids(data, "x")]
    assert ones != sorted(ones)  # of equal length by chance


def test_counts_per_source_are_in_the_facts(bench: Bench) -> None:
    outcome = split(bench, both(rows("a", 90), rows("b", 10)), fraction=0.1)
    counts = outcome.facts["sources"]
    held = Counter(column(outcome, "source", "validation"))
    assert {name: count["held_out"] for name, count in counts.items() if count["held_out"]} == held
    assert sum(count["train"] for count in counts.values()) == 90
    assert (outcome.facts["held_out"], outcome.facts["asked"]) == (10, 10)


def near(text: str, draw: random.Random) -> str:
    """Return the text in other case, with other space and punctuation."""
    words = [word.upper() if draw.random() < 0.5 else word for word in text.split()]
    return draw.choice(["", " ", "\t"]) + draw.choice([" ", ", ", "\n"]).join(words) + "?!"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 1000), count=st.integers(4, 30))
def test_near_identical_rows_never_straddle_the_split(
    tmp_path_factory: pytest.TempPathFactory, seed: int, count: int
) -> None:
    draw = random.Random(seed)
    bench = Bench(tmp_path_factory.mktemp("bench"))
    subjects = [f"what is number {n}" for n in range(20)]
    texts = [near(draw.choice(subjects), draw) for _ in range(40)] + [f"own {n}" for n in range(30)]
    outcome = split(bench, rows("a", texts), seed=seed, count=count, group_by=["input"])

    def plain(output: str) -> set[str]:
        found = column(outcome, "input", output)
        return {
            " ".join("".join(c if c.isalnum() else " " for c in t).lower().split()) for t in found
        }

    assert not plain("train") & plain("validation")
    assert outcome.facts["held_out"] == count  # single rows fill it up exactly


def test_a_count_that_groups_do_not_allow_is_not_exceeded_and_said(bench: Bench) -> None:
    data = rows("a", ["Same", "same.", "SAME", "other", "Other!", "other ?"])
    outcome = split(bench, data, count=4, group_by=["input"])
    assert (outcome.facts["held_out"], outcome.facts["asked"]) == (3, 4)
    with pytest.raises(StepError, match="come in groups of at least 3"):
        split(bench, data, count=2, group_by=["input"])


def test_only_rows_that_agree_in_all_fields_belong_together_and_empty_ones_stand_alone(
    bench: Bench,
) -> None:
    data = rows("a", ["x", "X", "x"], task=["t", "t", "u"])
    outcome = split(bench, data, count=1, group_by=["task", "input"])
    assert column(outcome, "task", "validation") == ["u"]
    empty = rows("a", [""] * 6)
    assert split(bench, empty, count=2, group_by=["input"]).facts["held_out"] == 2


def test_signs_of_other_scripts_are_not_punctuation(bench: Bench) -> None:
    outcome = split(bench, rows("a", ["कि", "की", "का"]), count=1, group_by=["input"])
    assert outcome.facts["held_out"] == 1


# The sizes of the data sets themselves; Table 1 gives thousands. Open-Platypus is there whole: the
# tenth that the paper leaves out would make 22K of its 25K.
SIZES = {
    "lima": 1_030,
    "open-platypus": 24_926,
    "openbookqa": 4_957,
    "quac": 83_568,
    "cnn-dailymail": 287_113,
    "math-instruct": 262_039,
}
TABLE = {
    # name: 200K, 400K, 700K in thousands
    "lima": (1, 1, 1),
    "open-platypus": (25, 25, 25),
    "ni-exact": (50, 110, 220),
    "ni-generation": (50, 110, 220),
    "openbookqa": (5, 5, 5),
    "quac": (10, 10, 10),
    "cnn-dailymail": (15, 28, 28),
    "math-instruct": (50, 100, 200),
}
QUOTA = [350, 350, 300, 300, 250, 250, 200, 150, 100, 50]


def natural_instructions(bench: Bench, kind: str) -> Path:
    """Return 800 tasks of about 1,250 scored rows each: a million rows with the other kind."""
    draw = random.Random(kind)
    tasks, scores = [], []
    for number in range(800):
        level = draw.random() * 0.9
        size = draw.randint(600, 1900)
        tasks += [f"task{number:04}_{kind}"] * size
        if kind == "exact":
            scores += [float(draw.random() < level) for _ in range(size)]
        else:
            scores += [min(1.0, max(0.0, draw.gauss(level, 0.25))) for _ in range(size)]
    data = rows(f"ni-{kind}", len(tasks), task=tasks)
    return bench.put(data.append_column("score", pa.array(scores)))


@pytest.mark.nightly
@pytest.mark.slow
def test_birbals_mixtures_have_the_counts_of_table_1(bench: Bench) -> None:
    """At full scale: sources of their true sizes, 1,600 tasks, a million scored rows."""
    whole = {name: bench.put(rows(name, size)) for name, size in SIZES.items()}
    exact, generation = (natural_instructions(bench, kind) for kind in ("exact", "generation"))
    for size in range(3):
        counts = {name: thousands[size] * 1000 for name, thousands in TABLE.items()}
        parts: dict[str, Path] = {}
        for name, folder in whole.items():
            # "all" of those that are about as many as the table says, else a count
            everything = SIZES[name] < counts[name] + 100
            params = {} if everything else {"count": counts[name]}
            used = "all" if everything else "random"
            made = bench.run("sampler", {"rows": folder}, used, params)
            parts[name] = made.outputs["rows"].folder
        drawn = {"quota": QUOTA, "factor": 2.0, "drop_below": 0.02, "total": counts["ni-exact"]}
        made = bench.run("sampler", {"rows": exact}, "accuracy-buckets", drawn)
        parts["ni-exact"] = made.outputs["rows"].folder
        larger = {"fractions": [0.8] + [0.5] * 6} if size == 2 else {}
        drawn = {"total": counts["ni-generation"], **larger}
        made = bench.run("sampler", {"rows": generation}, "rouge-buckets", drawn)
        parts["ni-generation"] = made.outputs["rows"].folder
        mixed = bench.run("mixture", parts)
        said = {"count": 2000, "fraction": None, "group_by": []}
        outcome = bench.run(
            "split",
            {"rows": mixed.outputs["rows"].folder},
            settings={"order": "shuffle", "weights": None, "validation": said},
        )
        found = {
            name: count["train"] + count["held_out"]
            for name, count in outcome.facts["sources"].items()
        }
        assert {name: round(n / 1000) for name, n in found.items()} == {
            name: thousands[size] for name, thousands in TABLE.items()
        }
        assert found["ni-exact"] == counts["ni-exact"]
        assert found["ni-generation"] == counts["ni-generation"]
        assert outcome.facts["held_out"] == 2000
