"""The recipe that every newcomer runs: it works, and it gives the same bits elsewhere."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from .conftest import Workdir

pytestmark = pytest.mark.slow

VARIATIONS = {
    "one thread": {"PYTHONHASHSEED": "1", "TZ": "Asia/Kolkata", "OMP_NUM_THREADS": "1"},
    "two threads": {"PYTHONHASHSEED": "7", "TZ": "UTC", "LC_ALL": "C", "OMP_NUM_THREADS": "2"},
}


def workdir_with_quickstart(folder: Path, workers: int | None = None) -> Workdir:
    folder.mkdir(parents=True)
    command = [sys.executable, "-m", "khichdi.cli", "new", "pico", "--from", "quickstart"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    workdir = Workdir(folder)
    if workers is not None:
        workdir.edit("  cpu_threads: 1", f"  dataloader_num_workers: {workers}\n  cpu_threads: 1")
    return workdir


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> Any:
    workdir = workdir_with_quickstart(tmp_path_factory.mktemp("quick") / "here")
    return workdir.json("run", "pico.yaml")


def test_fine_tuning_visibly_works(quickstart: Any) -> None:
    metrics = quickstart["metrics"]
    assert metrics["exact_match_before"] < 0.1
    assert metrics["exact_match"] > 0.75
    assert metrics["eval_loss"] < metrics["eval_loss_before"] / 10


@pytest.mark.nightly
@pytest.mark.parametrize("variation", VARIATIONS)
def test_elsewhere_it_gives_the_same_bits(quickstart: Any, tmp_path: Path, variation: str) -> None:
    workers = 0 if variation == "one thread" else 3
    workdir = workdir_with_quickstart(tmp_path / "some" / "where else", workers)
    workdir.environment = VARIATIONS[variation]
    again = workdir.json("run", "pico.yaml")
    assert again["recipe_hash"] == quickstart["recipe_hash"]
    assert again["result_hash"] == quickstart["result_hash"]
    ours, theirs = (
        (Path(d["adapter"]) / "adapter_model.safetensors").read_bytes() for d in (quickstart, again)
    )
    assert ours == theirs


@pytest.mark.nightly
def test_killed_in_training_it_ends_with_the_same_hash(quickstart: Any, tmp_path: Path) -> None:
    workdir = workdir_with_quickstart(tmp_path / "killed")
    process = workdir.start("run", "pico.yaml")
    deadline = time.monotonic() + 300
    while process.poll() is None and time.monotonic() < deadline:
        if any((workdir.folder / "store" / "work").rglob("*.safetensors")):
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    again = workdir.json("run", "pico.yaml")
    assert workdir.ran(again)[0] == "train"
    assert again["result_hash"] == quickstart["result_hash"]
