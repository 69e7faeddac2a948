"""Random damage to what a run left behind is always seen, and the damaged object named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from damage import Tally, damage_artifacts, damage_bundle, damage_documents

from khichdi.runtime.audit.audited_run import open_claim

from .conftest import Kitchen
from .test_bundle import recipe


@pytest.mark.parametrize(
    "count", [pytest.param(300, id="300"), pytest.param(10_000, id="10000", marks=pytest.mark.slow)]
)
def test_flips_truncations_and_swaps_are_seen_and_named(
    warm: tuple[Kitchen, Any], tmp_path: Path, count: int
) -> None:
    kitchen, document = warm
    store = kitchen.folder / "store"
    run = store / "runs" / Path(document["run"]).name
    tally = Tally()
    damage_artifacts(open_claim(run, "run", (store,)), count // 3, 1, tally)
    damage_documents(run, (store,), count // 3, 2, tally)
    bundle = tmp_path / "pico.bundle"
    recipe(kitchen, "bundle", run.name, "-o", str(bundle))
    damage_bundle(bundle, tmp_path, count - 2 * (count // 3), 3, tally)
    assert tally.tried.total() == count
    assert not tally.unseen
    assert not tally.unnamed
