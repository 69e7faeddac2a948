"""The conformance kit, and what is particular to `length-strata`."""

from pathlib import Path

import pyarrow as pa
from khichdi.plugins.testing import SamplerTests

from khichdi_examples.length_strata import LengthStrata, LengthStrataParams


class TestLengthStrata(SamplerTests):
    """What every sampler is held to."""

    plugin = LengthStrata
    record = Path(__file__).with_name("version.json")
    params = {"edges": [2, 5], "quota": [10, 20, 5]}
    wrong_params = (
        {"edges": [5, 5], "quota": [1, 1, 1]},
        {"edges": [5], "quota": [1]},
        {"edges": [], "quota": [1]},
    )


def test_each_stratum_gives_its_smallest_draws() -> None:
    """A stratum with fewer rows gives those it has."""
    table = pa.table({"output": ["a", "a b", "a", "a b c", "a"]})
    plugin = LengthStrata(LengthStrataParams(edges=(2,), quota=(2, 5)))
    assert plugin.select(table, [9, 1, 3, 2, 5]) == [2, 4, 1, 3]
    assert plugin.asked() == 7
