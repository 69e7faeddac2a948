"""Show the plan: each step, whether it is cached, and what is known of it already."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any

from ..runtime.pin import check_local
from ..schema.plan import Plan, PlanStep
from ..schema.record import StepResult
from .facts import described
from .output import columns, emit, short
from .session import open_session, recipe_argument


def arguments(parser: ArgumentParser) -> None:
    """Add what this command takes."""
    recipe_argument(parser)


def run(options: Namespace) -> int:
    """Print the graph in order."""
    session = open_session(options, options.file)
    plan = session.compiled.plan
    check_local(plan, session.compiled.folders, session.registry)
    results = {step.name: session.store.result(step.key) for step in plan.steps}
    document = {
        "recipe_hash": plan.recipe_hash,
        "locked": plan.locked,
        "steps": [_step(step, results[step.name]) for step in plan.steps],
        "estimate": estimate(plan, results),
    }
    emit(options, document, _text(plan, results, options.file))
    return 0


def _step(step: PlanStep, result: StepResult | None) -> dict[str, Any]:
    return {
        "name": step.name,
        "kind": step.kind,
        "plugin": step.plugin.name,
        "key": step.key,
        "status": "cached" if result else "to-run",
        "facts": result.facts if result else None,
    }


def estimate(plan: Plan, results: dict[str, StepResult | None]) -> dict[str, Any]:
    """Return what is known from cached steps; what is not known is null."""
    split, pack, train = (results.get(name) for name in ("split", "pack", "train"))
    packed: Any = pack.facts["train"] if pack else None
    measured: dict[str, Any] = train.measured if train else {}
    on_gpu = str(measured.get("device", "cpu")).split()[0] != "cpu"
    return {
        "rows": split.facts["rows_out"] if split else None,
        "tokens": packed["tokens"] if packed else None,
        "gpu_memory_bytes": measured.get("peak_memory_bytes") if on_gpu else None,
        "seconds": measured.get("seconds"),
    }


def _text(plan: Plan, results: dict[str, StepResult | None], name: str) -> str:
    lines = [f"{plan.recipe}   recipe hash {short(plan.recipe_hash)}"]
    unpinned = [s.name for s in plan.steps if s.kind == "source" and s.material is None]
    if unpinned:
        lines.append(f"  not pinned: {', '.join(unpinned)}; the hash is provisional")
    rows = []
    for step in plan.steps:
        result = results[step.name]
        status = "cached" if result else "to run"
        rows.append((step.name, step.plugin.name, status, described(step.kind, result)))
    lines += ["", columns(rows), ""]
    to_run = [step.name for step in plan.steps if results[step.name] is None]
    first = f"   first: {to_run[0]}" if to_run else ""
    lines.append(f"  to run: {len(to_run)} steps   cached: {len(rows) - len(to_run)}{first}")
    action = f"recipe lock {name}" if unpinned else f"recipe run {name}"
    lines.append(f"  next: {action}")
    return "\n".join(lines)
