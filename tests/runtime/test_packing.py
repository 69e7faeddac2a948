from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from khichdi.runtime.packing import pack


def log_normal(count: int, capacity: int) -> list[int]:
    draw = random.Random(57)
    return [min(capacity, 1 + int(draw.lognormvariate(5.3, 1.0))) for _ in range(count)]


@given(
    st.integers(1, 300).flatmap(
        lambda capacity: st.tuples(
            st.just(capacity), st.lists(st.integers(1, capacity), max_size=200)
        )
    )
)
def test_every_sample_is_in_one_pack_and_none_is_over_full(case: tuple[int, list[int]]) -> None:
    capacity, lengths = case
    packs = pack(lengths, capacity)
    assert sorted(index for chosen in packs for index in chosen) == list(range(len(lengths)))
    assert all(0 < sum(lengths[i] for i in chosen) <= capacity for chosen in packs)


@given(st.lists(st.integers(1, 100), max_size=60), st.randoms(use_true_random=False))
@settings(max_examples=50)
def test_another_order_of_rows_gives_packs_of_the_same_lengths(
    lengths: list[int], shuffle: random.Random
) -> None:
    other = list(lengths)
    shuffle.shuffle(other)

    def shapes(values: list[int]) -> list[list[int]]:
        return [[values[i] for i in chosen] for chosen in pack(values, 100)]

    assert shapes(lengths) == shapes(other)


def test_a_sample_goes_where_it_leaves_least_room() -> None:
    # 60 and 70 open packs; 30 fits both and fills the second.
    assert pack([60, 70, 30, 40], 100) == [[1, 2], [0, 3]]


def test_many_samples_leave_less_than_a_half_percent_empty() -> None:
    lengths = log_normal(50_000, 8192)
    packs = pack(lengths, 8192)
    assert sum(lengths) / (len(packs) * 8192) >= 0.995
    assert len(packs) >= math.ceil(sum(lengths) / 8192)


@pytest.mark.parametrize("lengths", [[5, 101], [5, 0]])
def test_a_sample_that_cannot_be_packed_is_refused_by_number(lengths: list[int]) -> None:
    with pytest.raises(ValueError, match="sample 1 has"):
        pack(lengths, 100)


def test_nothing_makes_no_pack() -> None:
    assert pack([], 10) == []
