"""Two hundred divergences over all levels, each named exactly."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from divergences import Pristine, audited, chosen, injections

from khichdi.runtime.audit.audited_run import open_claim

from .conftest import Kitchen

SEED = 57


@pytest.mark.parametrize(
    ("count", "executed"),
    [
        pytest.param(40, False, id="40"),
        pytest.param(200, True, id="200", marks=pytest.mark.slow),
    ],
)
def test_each_is_named_by_level_step_and_place(
    warm: tuple[Kitchen, Any], tmp_path: Path, count: int, executed: bool
) -> None:
    kitchen, document = warm
    store = kitchen.folder / "store"
    claim = open_claim(store / "runs" / Path(document["run"]).name, "run", (store,))
    pristine = Pristine(store, tmp_path / "pristine")
    known = [one for one in injections(claim, SEED) if executed or not one.executed]
    tried = chosen(known, count, random.Random(SEED))
    assert len(tried) == count
    wrong = []
    for one in tried:
        one.inject()
        said = audited(claim, one)
        pristine.restore()
        if said is not None:
            wrong.append(f"{one.what}: {said}; expected {one.level}: {one.where}")
    assert not wrong, "\n".join(wrong)
