"""Find measurements of past runs: rates of training, and of the steps around it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from ..compiler.estimate.devices import DEVICES
from ..plugins.registry import Registry
from ..runtime.store.runs import PLAN, newest_runs
from ..schema.device import Device
from ..schema.errors import InputError
from ..schema.estimate import Estimate, StepTime
from ..schema.plan import Plan, PlanStep
from ..schema.record import Record, RecordedStep, StepResult
from .session import Session

Results = Mapping[str, StepResult | None]

NEWEST = 20
"""How many past runs are searched for measurements, newest first."""
LONG = 1.0
"""Seconds of a step, measured, above which a plan lists it."""
MODEL = ("scorer", "evaluator", "exporter")
"""Kinds whose steps run the model: a plan lists them though nothing was measured."""


def measured_here(
    session: Session, results: Results, device: Device | None
) -> dict[str, Any] | None:
    """Return measurements of training this base here, on this device if one is given."""
    train = results.get("train")
    if train is not None and _fits(train.measured, device):
        own: dict[str, Any] = dict(train.measured)
        return {"device": own["device"], "seconds": own.get("seconds")}
    return measured_elsewhere(session, device)


def measured_elsewhere(session: Session, device: Device | None) -> dict[str, Any] | None:
    """Return measurements of another training of this base here."""
    plan = session.compiled.plan
    for name, record, other in past_runs(session):
        if (
            not other.trains
            or other.step("base").key != plan.step("base").key
            or not _alike(plan, other, session.registry)
        ):
            continue
        if other.step("train").key == plan.step("train").key:
            continue
        steps = {step.name: step for step in record.steps}
        numbers: dict[str, Any] = dict(steps["train"].result.measured)
        if not _fits(numbers, device) or "processes" in numbers:  # several: not the rate of one
            continue
        return {
            "run": name,
            "device": numbers["device"],
            "tokens_per_second": numbers["tokens_per_second"],
            "tokens_per_row": _tokens_per_row(plan, other, steps["pack"].result),
        }
    return None


def past_runs(session: Session) -> Iterator[tuple[str, Record, Plan]]:
    """Yield the newest finished runs: name, record and plan."""
    finished = ((folder, record) for folder, record in newest_runs(session.store) if record)
    for folder, record in islice(finished, NEWEST):
        path = folder / PLAN
        try:
            yield folder.name, record, Plan.from_json(path.read_bytes(), str(path))
        except (OSError, InputError):
            continue


def _alike(plan: Plan, other: Plan, registry: Registry) -> bool:
    """Return whether two trainings do about the same arithmetic per token."""
    one, two = plan.step("train"), other.step("train")
    if one.plugin.name != two.plugin.name or one.parts["quantizer"] != two.parts["quantizer"]:
        return False
    runtime: Any = registry.get("runtime", one.plugin.name).plugin
    fields = runtime.params_model.model_fields
    # An older plan may lack a parameter, whose default is then what it did.
    values = [
        [
            step.plugin.params.get(name, fields[name].default)
            for name in sorted(runtime.rate_params())
        ]
        for step in (one, two)
    ]
    return values[0] == values[1]


def _tokens_per_row(plan: Plan, other: Plan, packed: StepResult) -> float | None:
    if plan.step("pack").parts != other.step("pack").parts:
        return None
    facts: Any = packed.facts["train"]
    return facts["tokens"] / facts["rows"] if facts["rows"] else None


def _fits(measured: Mapping[str, Any], device: Device | None) -> bool:
    found = measured.get("device")
    if not found or not measured.get("seconds"):
        return False
    return device is None or device_of(str(found)) == device


def device_of(measured: str) -> Device | None:
    """Return the device of the table that torch calls so."""
    words = set(re.split(r"[^a-z0-9]+", measured.lower()))
    fitting = [d for d in DEVICES.values() if set(d.name.split("-")) <= words]
    return max(fitting, key=lambda d: len(d.name), default=None)


# ---- steps other than training ----------------------------------------------------------------


def step_times(session: Session, results: Results, found: Estimate) -> tuple[StepTime, ...]:
    """Return the time of each step to run but training, at the rate of a past run of its kind."""
    waiting = [
        step
        for step in session.compiled.plan.steps
        if results[step.name] is None and step.kind not in ("source", "runtime")
    ]
    rates = _rates(session, waiting)
    times = []
    for step in waiting:
        rows = _rows_in(step, results, found, session)
        run, done = rates.get(step.name, (None, None))
        if done is None:
            if step.kind in MODEL:
                times.append(StepTime(step=step.name, rows=rows))
            continue
        seconds = _scaled(done, rows)
        if step.kind in MODEL or (seconds or 0) > LONG:
            times.append(StepTime(step=step.name, rows=rows, seconds=seconds, run=run))
    return tuple(times)


def _rates(session: Session, waiting: list[PlanStep]) -> dict[str, tuple[str, RecordedStep]]:
    """Return, by step, the newest run that did such a step, and what it recorded."""
    plan, found = session.compiled.plan, dict[str, tuple[str, RecordedStep]]()
    for name, record, other in past_runs(session) if waiting else ():
        theirs = {step.name: step for step in other.steps}
        ran = [step for step in record.steps if step.status == "ran" and step.name in theirs]
        for step in waiting:
            wanted = _what(plan, step)
            same = (one for one in ran if _what(other, theirs[one.name]) == wanted)
            one = next(same, None) if step.name not in found else None
            if one is not None:
                found[step.name] = (name, one)
    return found


def _what(plan: Plan, step: PlanStep) -> tuple[Any, ...]:
    """Return what the time of a row depends on: the plugins, and the model that they run."""
    roles = {role: name for role, name, _ in step.sources()}
    model = plan.step(roles["base"]).key if "base" in roles else None
    return step.kind, step.plugin, step.parts, model, "adapter" in roles


def _rows_in(step: PlanStep, results: Results, found: Estimate, session: Session) -> int | None:
    """Return the rows that a step will read, as far as they are known."""
    for _, name, output in step.sources():
        result = results[name]
        if result is not None and output in ("rows", "train", "validation"):
            counted = result.facts.get("held_out" if output == "validation" else "rows_out")
            return counted if isinstance(counted, int) else None
    if step.kind == "evaluator":
        wanted = session.compiled.recipe.mixture.validation
        return wanted.count if wanted else None
    return found.rows if step.kind in ("mixture", "split", "pack") else None


def _scaled(done: RecordedStep, rows: int | None) -> float | None:
    """Return the seconds of so many rows; of a step that reads none, those that it took."""
    counted = done.result.facts.get("rows_in")
    if not isinstance(counted, int) or counted == 0:
        return done.seconds
    return None if rows is None else done.seconds * rows / counted
