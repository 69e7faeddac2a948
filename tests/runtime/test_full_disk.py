"""A disk that fills up inside a step is reported as such, in whatever words a library says it."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from khichdi.plugins.registry import load_registry
from khichdi.runtime.execute import guarded
from khichdi.runtime.steps.context import Context, Outcome
from khichdi.schema.errors import StepError, StoreError
from khichdi.schema.plan import PlanStep, PluginRef


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Give a disk of 1 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk)]
    with contextlib.suppress(FileNotFoundError):
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            yield disk
            # Lazily: torch leaves its file open where writing it failed.
            subprocess.run(["umount", "-l", str(disk)], check=True)
            return
    pytest.skip("mounting a small disk is not permitted here")


def context(work: Path) -> Context:
    (work / "staging").mkdir()
    plugin = PluginRef(kind="runtime", name="qlora", version=2)
    step = PlanStep(name="train", kind="runtime", plugin=plugin, key="sha256:" + "0" * 64)
    return Context(
        step=step, inputs={}, staging=work / "staging", work=work, origin=None,
        registry=load_registry(), report=lambda _: None,
    )  # fmt: skip


def arrow(path: Path, numbers: Any) -> None:
    import pyarrow as pa

    table = pa.table({"a": numbers.numpy()})
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


WRITERS = {
    "safetensors": lambda path, numbers: save_file({"a": numbers}, path),
    "torch": lambda path, numbers: torch.save(numbers, path),
    "arrow": arrow,
    "python": lambda path, numbers: path.write_bytes(numbers.numpy().tobytes()),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_no_space_is_not_a_fault_of_the_plugin(small_disk: Path, writer: str) -> None:
    def perform(given: Context) -> Outcome:
        WRITERS[writer](given.work / "checkpoint", torch.zeros(1_000_000))
        return Outcome({})

    with pytest.raises(StoreError) as caught:
        guarded(context(small_disk), perform)
    assert caught.value.message == "train: No space left on device"
    assert "free some space" in str(caught.value.hint)


def test_another_error_on_a_disk_with_space_stays_what_it_is(small_disk: Path) -> None:
    def perform(_: Context) -> Outcome:
        raise RuntimeError("unexpected pos 576 vs 534")

    with pytest.raises(StepError, match="RuntimeError: unexpected pos") as caught:
        guarded(context(small_disk), perform)
    assert "a fault in the plugin" in str(caught.value.hint)
