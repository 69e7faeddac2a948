"""Audit a run by segments in this process, and find its files."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from forgery import change_values, forge

from khichdi.cli.main import main
from khichdi.runtime.audit.segment_draw import drawn
from khichdi.runtime.training_states import read_states
from khichdi.schema.audit import AuditReport
from khichdi.schema.digest import described_safetensors
from khichdi.schema.record import Record
from khichdi.schema.training_states import INDEX

from .conftest import Workdir

Ran = tuple[Workdir, Any]


def recipe(workdir: Workdir, *words: str, status: int = 0) -> Any:
    """Run a command in this process: starting another takes longer than the command."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        found = main([*words, "--json", "--store", str(workdir.folder / "store")])
    assert found == status, out.getvalue()
    return json.loads(out.getvalue())


def audit(workdir: Workdir, *words: str, status: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = recipe(workdir, "audit", *words, status=status)
    AuditReport.model_validate(found)
    return found


def level(found: dict[str, Any], name: str) -> dict[str, Any]:
    return next(level for level in found["levels"] if level["level"] == name)


def run_of(own_run: Ran) -> Path:
    return own_run[0].folder / "store" / "runs" / Path(own_run[1]["run"]).name


def artifact(own_run: Ran, name: str, output: str) -> Path:
    record = Record.from_json((run_of(own_run) / "record.json").read_bytes(), "record.json")
    found = next(s for s in record.steps if s.name == name).result.outputs[output]
    return own_run[0].folder / "store" / "artifacts" / found.manifest.removeprefix("sha256:")


def nonce_that_draws(own_run: Ran, segment: int, *, avoid: bool = False) -> str:
    """Return a nonce by which one draw of one segment finds this one, or another one."""
    found = json.loads((run_of(own_run) / "record.json").read_bytes())["result_hash"]
    return next(
        str(n) for n in range(1000) if (drawn(found, str(n), "train", 4, 1) == (segment,)) != avoid
    )


def commit_trace(own_run: Ran, **changes: float) -> None:
    """Make the trace fit the states; `step_7=0.5` sets the loss of training step 7."""
    states = read_states(artifact(own_run, "train", "states"))

    def change(trace: Any) -> None:
        for state in states.bounds:
            trace[state.step - 1]["state"] = state.digest()
        for name, loss in changes.items():
            trace[int(name.removeprefix("step_")) - 1]["loss"] = loss

    forge(run_of(own_run), own_run[0].folder / "store", "train", "trace", change_values(change))


def swap_state(number: int, group: str = "adapter") -> Callable[[Path], None]:
    """Return a change of one tensor of a state, with all digests made to fit."""

    def apply(folder: Path) -> None:
        states = read_states(folder)
        path = folder / states.bounds[number - 1].folder / f"{group}.safetensors"
        raw = bytearray(path.read_bytes())
        raw[-3] ^= 1
        path.write_bytes(raw)
        value = states.to_json()
        value["bounds"][number - 1]["tensors"][group] = described_safetensors(path)
        (folder / INDEX).write_text(json.dumps(value))

    return apply


def forge_segment(own_run: Ran) -> tuple[int, int]:
    """Forge the second segment: a loss, and the state that it ends in; return its steps."""
    first, last = read_states(artifact(own_run, "train", "states")).segments()[1]
    store = own_run[0].folder / "store"
    forge(run_of(own_run), store, "train", "states", swap_state(2))
    commit_trace(own_run, **{f"step_{last}": 0.25})
    assert (
        audit(own_run[0], "latest")["verdict"] == "identical"
    )  # the forger left no trace in bytes
    return first, last
