"""Write and read checkpoints atomically, to resume from the newest; safetensors and JSON.

`<work>/step-00000012/` has the adapter, the optimizer's state, the best adapter so far, a JSON of
everything else, and a manifest of sha256 sums. It is written under another name, synced and
renamed; one that does not fit its manifest is passed over for the one before.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from khichdi.schema.digest import file_sha256

Tensors = dict[str, torch.Tensor]
MANIFEST = "manifest.json"
STATE = "state.json"


@dataclass
class Checkpoint:
    """Everything needed to resume training bit-identically.

    Random numbers need no state: each micro batch draws from a seed of its own.

    Attributes:
        identity: digest of the job and of the environment that bits depend on.
        step: optimizer steps done.
        adapter: the trained tensors.
        optimizer: the optimizer's tensors.
        numbers: the optimizer's plain numbers.
        best: the tensors with the lowest loss on held-out rows so far; None before the first.
        progress: trace, losses and counts so far, as JSON.
    """

    identity: str
    step: int
    adapter: Tensors
    optimizer: Tensors
    numbers: dict[str, Any]
    best: Tensors | None
    progress: dict[str, Any] = field(default_factory=dict)


def save(work: Path, checkpoint: Checkpoint, keep: int) -> None:
    """Write a checkpoint and remove all but the newest `keep`."""
    work.mkdir(parents=True, exist_ok=True)
    final = work / f"step-{checkpoint.step:08d}"
    partial = work / f"partial-{os.getpid()}-{checkpoint.step}"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    parts = {"adapter": checkpoint.adapter, "optimizer": checkpoint.optimizer}
    if checkpoint.best is not None:
        parts["best"] = checkpoint.best
    for name, tensors in parts.items():
        save_file(tensors, partial / f"{name}.safetensors")
    state = {
        "identity": checkpoint.identity,
        "step": checkpoint.step,
        "numbers": checkpoint.numbers,
        "progress": checkpoint.progress,
    }
    (partial / STATE).write_text(json.dumps(state), encoding="utf-8")
    sums = {path.name: file_sha256(path) for path in sorted(partial.iterdir())}
    (partial / MANIFEST).write_text(json.dumps(sums), encoding="utf-8")
    for path in [*partial.iterdir(), partial]:
        sync(path)
    if final.exists():  # a damaged one of the same step
        shutil.rmtree(final)
    partial.rename(final)
    sync(work)
    for old in _steps(work)[keep:]:
        shutil.rmtree(old)


def newest(work: Path, identity: str) -> Checkpoint | None:
    """Return the newest complete checkpoint of this very job, or None; remove incomplete ones."""
    for partial in work.glob("partial-*"):
        shutil.rmtree(partial, ignore_errors=True)
    for folder in _steps(work):
        checkpoint = _read(folder)
        if checkpoint is not None and checkpoint.identity == identity:
            return checkpoint
    return None


def clear(work: Path) -> None:
    """Remove what this runtime has put into the folder."""
    for folder in _steps(work):
        shutil.rmtree(folder, ignore_errors=True)


def _steps(work: Path) -> list[Path]:
    """Return the folders of checkpoints, the newest first."""
    return sorted(work.glob("step-*"), reverse=True)


def _read(folder: Path) -> Checkpoint | None:
    try:
        sums = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if any(file_sha256(folder / name) != expected for name, expected in sums.items()):
            return None
        state = json.loads((folder / STATE).read_text(encoding="utf-8"))
        best = "best.safetensors"
        return Checkpoint(
            identity=state["identity"],
            step=state["step"],
            adapter=load_file(folder / "adapter.safetensors"),
            optimizer=load_file(folder / "optimizer.safetensors"),
            numbers=state["numbers"],
            best=load_file(folder / best) if best in sums else None,
            progress=state["progress"],
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError):
        return None  # cut short or damaged: the one before serves


def sync(path: Path) -> None:
    """Flush a file or folder to disk (fsync)."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
