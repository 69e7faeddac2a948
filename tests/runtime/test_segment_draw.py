"""Segments are drawn uniformly by result and nonce; distances of segments are relative errors."""

from __future__ import annotations

import math
from math import comb
from pathlib import Path
from typing import Any

import pytest

from khichdi.cli.audit_text import share
from khichdi.runtime.audit.segment_distance import numbers_error, relative_error, worst_error
from khichdi.runtime.audit.segment_draw import caught, drawn, odds, surely_caught
from khichdi.schema.audit import LARGEST, SegmentVerdict

RESULT = "sha256:" + "5" * 64


@pytest.mark.parametrize("forged", [1, 2, 5])
def test_the_share_of_draws_that_catch_is_the_hypergeometric_law_s(forged: int) -> None:
    segments, count, tries = 12, 3, 4000
    bad = set(range(2, 2 + forged))
    hits = sum(
        bool(bad & set(drawn(RESULT, f"nonce {n}", "train", segments, count))) for n in range(tries)
    )
    expected = caught(segments, count, forged)
    deviation = (expected * (1 - expected) / tries) ** 0.5
    assert abs(hits / tries - expected) < 4 * deviation


def test_every_segment_is_drawn_as_often_as_any_other() -> None:
    segments, count, tries = 8, 2, 4000
    hits = [0] * segments
    for number in range(tries):
        for segment in drawn(RESULT, str(number), "train", segments, count):
            hits[segment - 1] += 1
    expected = tries * count / segments
    assert sum((hit - expected) ** 2 / expected for hit in hits) < 29.9  # 0.9999 of chi-square, 7


def test_a_draw_follows_from_result_nonce_and_step_alone() -> None:
    one = drawn(RESULT, "dice", "train", 16, 4)
    assert one == drawn(RESULT, "dice", "train", 16, 4) == tuple(sorted(set(one)))
    others = [
        drawn("sha256:" + "6" * 64, "dice", "train", 16, 4),
        drawn(RESULT, "dice ", "train", 16, 4),
        drawn(RESULT, "dice", "train/2", 16, 4),
    ]
    assert one not in others
    assert drawn(RESULT, "dice", "train", 3, 9) == (1, 2, 3)


def test_the_odds_are_those_of_drawing_without_putting_back() -> None:
    assert caught(16, 3, 1) == pytest.approx(3 / 16)
    assert caught(4, 4, 1) == 1
    assert [one.forged for one in odds(5, 2)] == [1, 2, 3, 4, 5]
    for segments in range(1, 20):
        for count in range(1, segments + 1):
            certain = surely_caught(segments, count)
            assert 1 - comb(segments - certain, count) / comb(segments, count) >= 0.95
            assert certain == 1 or caught(segments, count, certain - 1) < 0.95


def test_how_far_apart_is_a_share_of_what_was_learnt(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    start = {"a": torch.zeros(3, 4), "b": torch.ones(5)}
    claimed = {"a": torch.ones(3, 4), "b": torch.ones(5) * 3}
    derived = {"a": torch.ones(3, 4) * 1.5, "b": torch.ones(5) * 3}
    files = [tmp_path / name for name in ("start", "claimed", "derived")]
    for file, tensors in zip(files, (start, claimed, derived), strict=True):
        save_file(tensors, file)
    assert relative_error(*files) == pytest.approx((12 * 0.25 / (12 + 5 * 4)) ** 0.5)
    assert relative_error(None, *files[1:]) == pytest.approx((12 * 0.25 / (12 + 5 * 9)) ** 0.5)
    assert relative_error(files[0], files[0], files[2]) == LARGEST  # nothing was learnt, it says
    assert relative_error(files[0], files[0], files[0]) == 0
    assert worst_error(*files[1:]) == pytest.approx(0.5)  # of `a`, as `b` is the same
    assert worst_error(files[1], files[1]) == 0
    assert worst_error(files[0], files[2]) == LARGEST  # `a` is said to be all zeros
    wrong = (
        {"a": torch.ones(4, 3), "b": torch.ones(5)},
        {"a": torch.ones(3, 4)},
        {"a": torch.ones(3, 4), "b": torch.ones(5), "c": torch.ones(1)},
        {"a": torch.ones(3, 4), "b": torch.tensor([math.nan] * 5)},
        {"a": torch.ones(3, 4), "b": torch.tensor([math.inf] * 5)},
    )
    for tensors in wrong:
        save_file(tensors, files[2])
        for one, other in (files[1:], files[:0:-1]):
            assert relative_error(files[0], one, other) == LARGEST
            assert relative_error(None, one, other) == LARGEST
            assert worst_error(one, other) == LARGEST


@pytest.mark.parametrize(
    ("error", "said"), [(None, ""), (0.00204, "0.002"), (LARGEST, "too large to measure")]
)
def test_an_error_is_said_as_a_share(error: float | None, said: str) -> None:
    one = SegmentVerdict(segment=1, first=1, last=4, because="drawn", error=error)
    assert share(one) == said


@pytest.mark.parametrize(
    ("claimed", "derived", "error"),
    [
        ({"step": 4}, {"step": 4}, 0),
        ({"step": 4, "rms": [1.0, 2.0]}, {"step": 4, "rms": [1.0, 2.5]}, 0.25),
        ({"step": 4}, {"step": 5}, LARGEST),
        ({"step": 4}, {}, LARGEST),
        ({"rms": [1.0]}, {"rms": [1.0, 1.0]}, LARGEST),
        ({"rms": 0.0}, {"rms": 1e-9}, LARGEST),
        ({"rms": 1.0}, {"rms": float("inf")}, LARGEST),
    ],
)
def test_numbers_of_a_state_are_apart_by_a_share_or_not_comparable(
    claimed: Any, derived: Any, error: float
) -> None:
    assert numbers_error(claimed, derived) == error
