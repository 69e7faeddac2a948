"""Divergences over all levels, each named exactly."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from sizes import sized

from khichdi.runtime.audit.audited_run import open_claim

from ..flow.conftest import Workdir
from .cases.divergences import chosen, injections
from .cases.file_changes import Pristine
from .cases.injections import audited

SEED = 57


def test_each_is_named_by_level_step_and_place(
    own_run: tuple[Workdir, Any], tmp_path: Path
) -> None:
    count = sized(200, few=40)
    executed = count >= 100  # those that only execution finds take most of the time
    workdir, document = own_run
    store = workdir.folder / "store"
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
