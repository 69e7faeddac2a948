"""Random damage to what a run left behind is always seen, and the damaged object named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sizes import sized

from khichdi.runtime.audit.audited_run import open_claim

from ..flow.conftest import Workdir
from ..flow.test_bundle import recipe
from .cases.damage import Tally, damage_artifacts, damage_bundle, damage_documents


def test_flips_truncations_and_swaps_are_seen_and_named(
    own_run: tuple[Workdir, Any], tmp_path: Path
) -> None:
    workdir, document = own_run
    store = workdir.folder / "store"
    run = store / "runs" / Path(document["run"]).name
    tally, count = Tally(), sized(10_000, few=300)
    damage_artifacts(open_claim(run, "run", (store,)), count // 3, 1, tally)
    damage_documents(run, (store,), count // 3, 2, tally)
    bundle = tmp_path / "pico.bundle"
    recipe(workdir, "bundle", run.name, "-o", str(bundle))
    damage_bundle(bundle, tmp_path, count - 2 * (count // 3), 3, tally)
    assert tally.tried.total() == count
    assert not tally.unseen
    assert not tally.unnamed
