"""Forged trainings of a calibration change what their names say; workers report failures."""

from __future__ import annotations

import os
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from calibrations import training

from khichdi.plugins.builtin.runtime.qlora.plugin import Qlora, QloraParams
from khichdi.plugins.registry import load_registry
from khichdi.runtime.audit.segment_distance import Errors
from khichdi.runtime.calibration.cpu_kernels import HERE, Setting, settings
from khichdi.runtime.calibration.forgeries import as_claimed, changed_packs, changed_step
from khichdi.runtime.calibration.statistics import (
    exact,
    of_segments,
)
from khichdi.runtime.calibration.trained_model import TrainedModel
from khichdi.runtime.calibration.worker import (
    FAILED,
    REPLAYED,
    Borrowing,
    WorkerJob,
    spread,
    start,
)
from khichdi.runtime.store.store import Store
from khichdi.schema.calibration import FORGERIES, RERUN
from khichdi.schema.errors import StepError
from khichdi.schema.plan import PlanStep, PluginRef

torch = pytest.importorskip("torch")


REGISTRY = load_registry()


def step() -> PlanStep:
    params = {"learning_rate": 1e-3, "num_epochs": 3, "max_steps": None, "cpu_threads": 1,
              "attn_implementation": "auto"}  # fmt: skip
    adapter = PluginRef(kind="adapter", name="lora", version=1, params={"r": 8, "alpha": 16})
    return PlanStep(
        name="train",
        kind="runtime",
        plugin=PluginRef(kind="runtime", name="qlora", version=1, params=params),
        parts={"adapter": adapter},
        seed=5,
        key="sha256:" + "0" * 64,
    )


@pytest.mark.parametrize("kind", FORGERIES)
def test_each_forgery_changes_what_its_name_says_and_nothing_else(kind: str) -> None:
    import pyarrow as pa

    rows = [
        {"ids": [f"{n}", f"{n}b"], "input_ids": [n, 1, 2, n, 3], "labels": [-100, 1, 2, -100, 3],
         "lengths": [3, 2]}
        for n in range(10, 20)
    ]  # fmt: skip
    packs = pa.Table.from_pylist(rows)
    one, other = step(), changed_step(kind, 0, step(), 15, REGISTRY)
    changed = {name for name in ("plugin", "parts", "seed")
               if getattr(one, name) != getattr(other, name)}  # fmt: skip
    table = changed_packs(kind, 0, packs, packs.slice(0, 3))
    expected: dict[str, set[str]] = {
        "another seed": {"seed"},
        "learning rate x 1.1": {"plugin"},
        "an epoch less": {"plugin"},
        "a longer run": {"plugin"},
        "another r or alpha": {"parts"},
        "somebody else's adapter": {"seed"},
    }
    assert changed == expected.get(kind, set())
    swaps = kind in ("1 % of rows swapped", "order shuffled", "somebody else's adapter")
    assert (table is not None and table != packs) == swaps
    if kind == "1 % of rows swapped":
        assert table is not None
        differ = [a != b for a, b in zip(packs.to_pylist(), table.to_pylist(), strict=True)]
        assert sum(differ) == 1
    if kind == "order shuffled":
        assert table is not None
        assert sorted(map(str, table.to_pylist())) == sorted(map(str, packs.to_pylist()))


@pytest.mark.parametrize("length", [1, 2, 3, 5])
def test_a_forged_trace_has_the_length_batches_and_rates_of_the_recipe(length: int) -> None:
    honest = training([3.0, 2.0, 1.0]).trace
    made = training([9.0 - n for n in range(length)], learning_rate=0.5, batch="x").trace
    found = as_claimed(made, honest)
    assert exact(TrainedModel(Path(), honest, {}), TrainedModel(Path(), found, {})) == []
    assert found[0]["loss"] == 9.0


def test_settings_all_differ_and_none_is_this_machine_as_it_is() -> None:
    found = list(settings("cpu AVX512", Qlora(QloraParams())))
    assert len({one.name for one in found}) == len(found) >= 20
    assert all(one.environment or one.params for one in found)
    on_gpu = list(settings("NVIDIA H200", Qlora(QloraParams())))
    assert len(on_gpu) >= 5
    assert not any("ATEN_CPU_CAPABILITY" in one.environment for one in on_gpu)


def test_segments_to_execute_again_are_spread_over_the_training_with_both_ends() -> None:
    assert [spread(last) for last in range(5)] == [[], [1], [1, 2], [1, 2, 3], [1, 2, 3, 4]]
    for last in range(5, 200):
        found = spread(last)
        assert len(found) == REPLAYED
        assert (found[0], found[-1]) == (1, last)
        steps = [after - before for before, after in pairwise(found)]
        assert max(steps) - min(steps) <= 2


def test_figures_of_segments_are_the_largest_of_those_that_are_known() -> None:
    found = of_segments(
        {1: Errors(0.1, 0.2), 2: Errors(0.01, 0.3), 3: Errors(0.02, 0.1), 4: Errors(None, None)}
    )
    assert found == {"t2.first": 0.1, "t2.segment": 0.02, "t2.state": 0.3}
    assert of_segments({4: Errors(None, None)}) == {}


# ---- workers --------------------------------------------------------------------------------


def test_a_store_that_borrows_changes_nothing_of_whom_it_borrows_from(tmp_path: Path) -> None:
    def publish(store: Store) -> Any:
        with store.staging() as folder:
            (folder / "made").mkdir()
            (folder / "made" / "a.txt").write_text("a")
            return store.publish(folder / "made", "files")

    lender = Store(tmp_path / "lender")
    lent = publish(lender)
    borrower = Borrowing(tmp_path / "borrower", (lender.root,))
    assert borrower.folder(lent) == lender.folder(lent)
    assert not borrower.drop(lent)
    assert (lender.folder(lent) / "a.txt").read_text() == "a"
    assert publish(borrower) == lent
    assert borrower.folder(lent) == borrower.own_folder(lent)
    assert borrower.drop(lent)
    assert (lender.folder(lent) / "a.txt").read_text() == "a"


def failing(tmp_path: Path, setting: Setting) -> str:
    """Return what is said of a job whose run is nowhere."""
    job = WorkerJob(str(tmp_path / "nowhere"), [], str(tmp_path / "work"), setting, [(RERUN, 0)])
    with pytest.raises(StepError) as raised:
        start(job, dict(os.environ))
    assert "Traceback" not in raised.value.message
    return raised.value.message


def test_a_worker_that_fails_says_why(tmp_path: Path) -> None:
    assert "record.json is missing" in failing(tmp_path, HERE)
    assert (tmp_path / "work" / FAILED).is_file()


def test_of_a_worker_that_dies_before_it_can_say_why_the_last_line_is_told(tmp_path: Path) -> None:
    said = failing(tmp_path, Setting(environment={"PYTHONHOME": str(tmp_path)}))
    assert "Python" in said or "python" in said or "encodings" in said
    assert "\n" not in said


def test_of_a_worker_that_dies_in_silence_the_status_is_told(tmp_path: Path) -> None:
    silent = tmp_path / "silent"
    silent.write_text("#!/bin/sh\nkill -9 $$\n")
    silent.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "executable", str(silent))
        assert "status -9 and said nothing" in failing(tmp_path, HERE)
