"""The conformance kit, and what is particular to `readability`."""

from pathlib import Path

import pyarrow as pa
import pytest
from khichdi.plugins.testing import FilterTests

from khichdi_examples.readability import Readability, ReadabilityParams, reading_ease

EASY = "The cat sat on the mat. The dog ran to the cat. It was a hot day, and they all slept well."
HARD = (
    "Notwithstanding aforementioned considerations, organisational accountability necessitates "
    "comprehensive documentation of interdepartmental communication, irrespective of individual "
    "responsibilities concerning implementation of regulatory obligations."
)


class TestReadability(FilterTests):
    """What every filter is held to."""

    plugin = Readability
    record = Path(__file__).with_name("version.json")
    params = {"field": "output", "at_least": 60.0, "min_words": 3}
    wrong_params = ({"field": "output"}, {"field": "turns", "at_least": 1.0})


def reasons(*texts: str, **params: float) -> list[str | None]:
    """Return why each text goes."""
    batch = pa.record_batch({"output": pa.array(texts)})
    found = Readability(ReadabilityParams(**params)).reasons(batch)
    return [drop and drop.reason for drop in found]


def test_hard_and_easy_texts_are_told_apart() -> None:
    """A text of few words is not judged."""
    assert reasons(EASY, HARD, "Yes.", at_least=30) == [None, "hard-to-read", None]
    assert reasons(EASY, HARD, "Yes.", at_most=90) == ["too-simple", None, None]


def test_the_ease_is_flesch_s() -> None:
    """Six words of one syllable in one sentence."""
    words = ["the", "cat", "sat", "on", "the", "mat"]
    assert reading_ease("The cat sat on the mat.", words) == pytest.approx(116.145)
