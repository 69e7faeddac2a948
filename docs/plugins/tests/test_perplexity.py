"""The conformance kit, and what is particular to `perplexity`."""

import math
from pathlib import Path

import pytest
from khichdi.plugins.testing import EvaluatorTests

from khichdi_examples.perplexity import Perplexity


class TestPerplexity(EvaluatorTests):
    """What every evaluator is held to."""

    plugin = Perplexity
    record = Path(__file__).with_name("version.json")
    wrong_params = ({"max_rows": 0},)

    def test_a_model_that_knows_nothing_is_surprised_by_every_token(self) -> None:
        """The kit's base has random weights and 384 tokens to guess from."""
        self.short = lambda: self.make(max_rows=5)
        result = self.measured()
        assert len(result.predictions) == 5
        assert all(row["tokens"] > 0 for row in result.predictions)
        assert 100 < result.metrics["perplexity"] < 3840
        assert math.log(result.metrics["perplexity"]) == pytest.approx(
            result.metrics["answer_loss"]
        )
