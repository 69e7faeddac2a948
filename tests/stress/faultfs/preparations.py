"""Preparations of a folder before a command that faults are injected into."""

from __future__ import annotations

import json
import logging
import shutil
import sys
from dataclasses import asdict
from pathlib import Path

from khichdi.runtime.calibration.cpu_kernels import HERE
from khichdi.runtime.calibration.worker import WorkerJob
from khichdi.runtime.store.store import Store
from khichdi.schema.calibration import RERUN

REMEMBERS = """#!/bin/sh
case "$2" in *calibration.worker) ;; *) exec "{python}" "$@" ;; esac
folder=$(dirname "$3") kept="{kept}/$(basename "$(dirname "$3")")"
if ! [ -d "$kept" ]; then
    "{python}" "$@" || exit
    mkdir "$kept" && mv "$folder"/*-[0-9]* "$kept"
fi
cp -r "$kept"/. "$folder"
"""


def steps(folder: Path) -> dict[str, Path]:
    """Return the file of each step's result by the step's name."""
    from khichdi.runtime.store.runs import newest_runs

    store = Store(folder / "store")
    record = next(record for _, record in newest_runs(store) if record)
    return {step.name: store.result_path(step.result.key) for step in record.steps}


def forget_rows(folder: Path) -> None:
    for name, path in steps(folder).items():
        if name.startswith("data/") or name == "mixture":
            path.unlink()


def forget_training(folder: Path) -> None:
    for name, path in steps(folder).items():
        if name.startswith(("train", "evaluate")):
            path.unlink()


def give_job(run: str, folder: Path) -> None:
    """Give a worker of a calibration a rerun to do."""
    shutil.rmtree(folder / "work", ignore_errors=True)
    (folder / "work").mkdir()
    store = folder / "store"
    job = WorkerJob(
        str(store / "runs" / run), [str(store)], str(folder / "work"), HERE, [(RERUN, 0)]
    )
    (folder / "work" / "job.json").write_text(json.dumps(asdict(job)))
    logging.disable()  # a worker's words go to its log, tracebacks of a step too


def worked_once(kept: Path, folder: Path) -> None:
    """Let workers of a calibration work once, and give what they made then whenever asked again."""
    kept.mkdir(exist_ok=True)
    python = kept / "python"
    python.write_text(REMEMBERS.format(python=sys.executable, kept=kept))
    python.chmod(0o755)
    sys.executable = str(python)


def forget_runs(folder: Path) -> None:
    shutil.rmtree(folder / "store" / "runs")


def untidy(folder: Path) -> None:
    (folder / "store" / "tmp" / "999999999-dead").mkdir(parents=True)
    (folder / "store" / "artifacts" / "unnamed").mkdir()
    (folder / "store" / "artifacts" / "unnamed" / "file").write_text("x")


def damage(folder: Path) -> None:
    store = Store(folder / "store")
    for key in store.result_keys()[:2]:
        result = store.recorded(key)
        assert result is not None
        output = next(iter(result.outputs.values()))
        path = store.folder(output) / next(iter(output.files))
        path.chmod(0o644)
        path.write_bytes(b"?" * path.stat().st_size)
    store.result_path(store.result_keys()[-1]).write_text("{")


def unformatted(folder: Path) -> None:
    text = (folder / "pico.yaml").read_text()
    (folder / "untidy.yaml").write_text(text.replace("name: pico", "name:    pico"))
