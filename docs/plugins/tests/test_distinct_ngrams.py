"""The conformance kit, and what is particular to `distinct-ngrams`."""

from pathlib import Path

import pyarrow as pa
import pytest
from khichdi.plugins import ScoringJob
from khichdi.plugins.testing import ScorerTests

from khichdi_examples.distinct_ngrams import DistinctNgrams, DistinctNgramsParams


class TestDistinctNgrams(ScorerTests):
    """What every scorer is held to."""

    plugin = DistinctNgrams
    record = Path(__file__).with_name("version.json")
    wrong_params = ({"n": 0}, {"field": "turns"})


def test_repetition_lowers_the_score(tmp_path: Path) -> None:
    """A text of fewer words than a run has no score."""
    texts = ["one two three", "a b a b a", "hm"]
    rows = pa.table({"output": texts})
    job = ScoringJob(rows, None, None, 1, tmp_path, lambda _: None)
    values = DistinctNgrams(DistinctNgramsParams()).score(job).values
    assert values == [1.0, pytest.approx(0.5), None]
