"""Samples run into one text and cut every so many tokens."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from khichdi.runtime.steps.pack import Sample, wrapped

SAMPLES = st.lists(st.integers(1, 40), max_size=30)


def samples(sizes: list[int]) -> list[Sample]:
    """Return samples whose tokens count on, all of them learnt."""
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
    runs = [list(range(end - size, end)) for size, end in zip(sizes, ends, strict=True)]
    return [(f"row-{i}", run, run) for i, run in enumerate(runs)]


@given(SAMPLES, st.integers(8, 64))
def test_every_token_comes_once_in_its_place(sizes: list[int], size: int) -> None:
    packs = list(wrapped(samples(sizes), size))
    tokens = [token for pack in packs for token in pack["input_ids"]]
    # A last pack of one token has nothing to learn: its first token is nobody's target.
    assert tokens == list(range(sum(sizes)))[: len(tokens)]
    assert sum(sizes) - len(tokens) == (1 if sum(sizes) % size == 1 else 0)
    assert all(len(pack["input_ids"]) == size for pack in packs[:-1])
    assert all(pack["lengths"] == [len(pack["input_ids"])] for pack in packs)


@given(SAMPLES, st.integers(8, 64))
def test_a_pack_names_the_rows_that_have_a_token_in_it(sizes: list[int], size: int) -> None:
    given_samples = samples(sizes)
    for pack in wrapped(given_samples, size):
        inside = set(pack["input_ids"])
        assert pack["ids"] == [row for row, tokens, _ in given_samples if inside & set(tokens)]


def test_a_long_sample_goes_on_in_the_next_pack_and_prompts_alone_are_left_out() -> None:
    prompt = [-100] * 10
    rows: list[Sample] = [
        ("a", list(range(14)), [*prompt, 10, 11, 12, 13]),
        ("b", list(range(20, 28)), [-100] * 8),
    ]
    packs = list(wrapped(rows, 8))
    assert packs == [
        {
            "ids": ["a", "b"],
            "input_ids": [8, 9, 10, 11, 12, 13, 20, 21],
            "labels": [-100, -100, 10, 11, 12, 13, -100, -100],
            "lengths": [8],
        }
    ]
