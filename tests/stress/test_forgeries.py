"""No mutant of an honest run, or of its bundle, is accepted by every audit and the signature."""

from __future__ import annotations

from pathlib import Path

import pytest
from sizes import sized

from .cases.honest_runs import shapes
from .forgeries import FAMILIES, campaign


@pytest.mark.parametrize("shape", shapes())
def test_no_forgery_of_a_run_is_accepted(tmp_path: Path, shape: str) -> None:
    count = sized(1_600, few=30)
    table = campaign(tmp_path, shape, count, list(FAMILIES))
    print(table.text())
    assert table.accepted == []
    assert table.mutants >= count
