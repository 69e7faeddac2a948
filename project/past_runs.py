"""Find measurements of past runs: rates of training, and of the steps around it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from ..compiler.estimate.devices import DEVICES
from ..compiler.estimate.model_steps import MODEL, Rate, WaitingStep
from ..plugins.registry import Registry
from ..runtime.store.runs import PLAN, newest_runs
from ..schema.device import Device
from ..schema.errors import InputError
from ..schema.plan import Plan, PlanStep
from ..schema.record import Record, StepResult
from .session import Session

Results = Mapping[str, StepResult | None]

NEWEST = 20
"""How many past runs are searched for measurements, newest first."""


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


def waiting_steps(
    session: Session, results: Results, device: Device | None
) -> tuple[WaitingStep, ...]:
    """Return the steps to run but training, with the rates of past runs on this device."""
    waiting = [
        step
        for step in session.compiled.plan.steps
        if results[step.name] is None and step.kind not in ("source", "runtime")
    ]
    rates = _rates(session, waiting, device)
    return tuple(
        WaitingStep(step, _rows_in(step, results, session), rates.get(step.name))
        for step in waiting
    )


def _rates(session: Session, waiting: list[PlanStep], device: Device | None) -> dict[str, Rate]:
    """Return, by step, the rate of the newest run that did such a step."""
    plan, found = session.compiled.plan, dict[str, Rate]()
    for name, record, other in past_runs(session) if waiting else ():
        theirs = {step.name: step for step in other.steps}
        ran = [step for step in record.steps if step.status == "ran" and step.name in theirs]
        elsewhere = device is not None and _device_of(record) not in (None, device)
        for step in waiting:
            if step.name in found or (elsewhere and step.kind in MODEL):
                continue
            wanted = _what(plan, step)
            one = next((one for one in ran if _what(other, theirs[one.name]) == wanted), None)
            if one is not None:
                rows = one.result.facts.get("rows_in")
                found[step.name] = Rate(name, one.seconds, rows if isinstance(rows, int) else None)
    return found


def _device_of(record: Record) -> Device | None:
    """Return the device of the table that a run's model was on, where its training says so."""
    trained = (step.result.measured.get("device") for step in record.steps)
    return next((device_of(str(name)) for name in trained if name), None)


def _what(plan: Plan, step: PlanStep) -> tuple[Any, ...]:
    """Return what the time of a row depends on: the plugins, and the model that they run."""
    roles = {role: name for role, name, _ in step.sources()}
    model = plan.step(roles["base"]).key if "base" in roles else None
    return step.kind, step.plugin, step.parts, model, "adapter" in roles


def _rows_in(step: PlanStep, results: Results, session: Session) -> int | None:
    """Return the rows that a step will read, as far as they are counted or asked for."""
    for _, name, output in step.sources():
        result = results[name]
        if result is not None and output in ("rows", "train", "validation"):
            counted = result.facts.get("held_out" if output == "validation" else "rows_out")
            return counted if isinstance(counted, int) else None
    if step.kind == "evaluator":
        wanted = session.compiled.recipe.mixture.validation
        return wanted.count if wanted else None
    return None
