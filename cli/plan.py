"""Show the plan: what is cached and what has to run, and what it will take."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from typing import Any

from ..compiler.checks.rules import rule_warnings
from ..compiler.estimate.devices import DEVICES
from ..plugins.kinds import Breach
from ..runtime.sources.pin import check_local
from ..schema.estimate import PARTS, Estimate
from ..schema.plan import Plan, PlanStep
from ..schema.record import StepResult
from .causes import causes
from .facts import described
from .known import Forecast, forecast
from .output import columns, duration, emit, short, size
from .session import Session, open_session, recipe_argument

GIB = 2**30
LABEL = 10
"""Width of the words that lines below `train` begin with."""

Results = dict[str, StepResult | None]


def arguments(parser: ArgumentParser) -> None:
    """Add what this command takes."""
    recipe_argument(parser)
    parser.add_argument(
        "--device",
        metavar="NAME",
        help=f"estimate for this device: {', '.join(DEVICES)} (default: the one that the recipe's "
        "rules name, or that its base was trained on here)",
    )


def run(options: Namespace) -> int:
    """Print the plan and the estimate; the steps one by one with -v."""
    session = open_session(options, options.file)
    plan = session.compiled.plan
    check_local(plan, session.compiled.folders, session.registry, session.lock)
    seen = forecast(session, options.device)
    results = {step.name: session.store.result(step.key) for step in plan.steps}
    found = causes(session)
    why = found.why if found else {}
    recipe = session.compiled.recipe
    warnings = rule_warnings(recipe, session.registry, seen.architecture, seen.known)
    document = {
        "recipe_hash": plan.recipe_hash,
        "locked": plan.locked,
        "repeats": plan.repeats,
        "steps": [_step(step, results[step.name], why) for step in plan.steps],
        "estimate": seen.estimate.to_json(),
        "rules": {
            name: [{"path": b.path, "message": b.message, "hint": b.hint} for b in found]
            for name, found in warnings.items()
        },
    }
    lines = [*_head(plan), *_data(session, seen, results), *_train(session, seen.estimate)]
    lines += _rules(warnings)
    lines += [f"  assumed {text}" for text in seen.estimate.assumed]
    told = [text for text in seen.estimate.unknown if not text.startswith("size of sources")]
    lines += [f"  unknown {text}" for text in told]
    lines += ["", *found.lines()] if found else []
    emit(options, document, "\n".join([*lines, *_end(plan, results, options)]))
    return 0


def _rules(warnings: Mapping[str, list[Breach]]) -> list[str]:
    """Return a line for each rule, and one for each thing that is doubtful about it."""
    lines = []
    for name, found in warnings.items():
        doubts = f"{len(found)} thing{'s' * (len(found) != 1)} to look at" if found else ""
        lines.append(
            f"  rules   {name}: {f'holds as far as known; {doubts}' if found else 'holds'}"
        )
        lines += [f"    - {b.message}{f' ({b.hint})' if b.hint else ''}" for b in found]
    return lines


def _step(step: PlanStep, result: StepResult | None, why: Mapping[str, str]) -> dict[str, Any]:
    return {
        "name": step.name,
        "kind": step.kind,
        "plugin": step.plugin.name,
        "key": step.key,
        "status": "cached" if result else "to-run",
        "why": why.get(step.name),
        "facts": result.facts if result else None,
    }


def _head(plan: Plan) -> list[str]:
    sources = [step for step in plan.steps if step.kind == "source"]
    unpinned = [step.name for step in sources if step.material is None]
    head = f"{plan.recipe}   recipe hash {short(plan.recipe_hash)}"
    if not unpinned:
        count = len(sources) - 1
        return [f"{head}   locked {count} source{'s' * (count != 1)}, 1 model", ""]
    return [head, f"  not pinned: {', '.join(unpinned)}; the hash is provisional", ""]


def _data(session: Session, seen: Forecast, results: Results) -> list[str]:
    """Return a line for each data set, and one for the mixture of them."""
    rows = []
    for name, data in seen.estimate.data.items():
        steps = [s for s in session.compiled.plan.steps if s.name.startswith(f"data/{name}/")]
        waiting = sum(results[step.name] is None for step in steps)
        count = "? rows" if data.rows is None else f"{data.rows:,} rows"
        before = seen.known.before.get(name)
        if data.basis == "counted" and before not in (None, data.rows):
            count = f"{before:,} -> {count}"
        how = "" if data.basis in ("counted", "unknown") else data.basis
        state = "cached" if not waiting else f"{waiting} of {len(steps)} steps to run"
        rows.append((name, count, how, state))
    rows.append(("mixture", _mixture(session, seen.estimate), "", ""))
    return ["  data", columns(rows, indent="    ")]


def _mixture(session: Session, found: Estimate) -> str:
    length = session.compiled.recipe.train.sequence_len
    amount = found if found.rows is not None else found.at_least
    if amount is None or amount.rows is None or amount.tokens is None or amount.packs is None:
        return "? rows"
    least = "" if amount is found else "at least "
    text = f"{least}{amount.rows:,} rows, {_millions(amount.tokens)} tokens, "
    full = amount.tokens / (amount.packs * length) if amount.packs else 0.0
    return (
        text
        + f"{amount.packs:,} packs of {length:,}"
        + (f" ({100 * full:.1f} % full)" if found.counted else "")
    )


def _millions(count: int) -> str:
    return f"{count:,}" if count < 1e6 else f"{count / 1e6:.1f} M"


def _train(session: Session, found: Estimate) -> list[str]:
    """Return what is trained, and the memory, time and disk that it takes."""
    recipe = session.compiled.recipe
    adapter = recipe.model.adapter.params()
    words = [recipe.train.use, f"{recipe.model.adapter.use} r {adapter.get('r', '?')}"]
    if found.trained is not None and found.parameters:
        share = 100 * found.trained / found.parameters
        words.append(f"{_millions(found.trained)} parameters ({share:.2g} %)")
    steps, least = found.steps, ""
    if steps is None and found.at_least:
        steps, least = found.at_least.steps, "at least "
    words.append(f"{least}{steps:,} steps" if steps is not None else "? steps")
    lines = [f"  train   {'  '.join(words)}"]
    if not session.compiled.plan.repeats:
        loose = "`determinism: fast`: the result hash need not come again"
        lines.append(f"    {'bits'.ljust(LABEL)}{loose}")
    for word, text in (("memory", _memory(found)), ("time", _time(found)), ("disk", _disk(found))):
        lines.append(f"    {word.ljust(LABEL)}{text}")
    return lines


def _memory(found: Estimate) -> str:
    if found.memory is None:
        return "?"
    limit, memory = found.device_memory_bytes, found.memory
    unit, width = ("GiB", GIB) if memory.total >= GIB else ("MiB", 1 << 20)
    digits = 1 if unit == "GiB" else 0
    text = f"{memory.total / width:.{digits}f} {unit}"
    text += f" of {limit / width:.{digits}f}" if limit else ""
    if limit and memory.total > limit:
        text += ": too much"
    parts = [f"{name} {getattr(memory, name) / width:.{digits}f}" for name in PARTS]
    return f"{text}   {'  '.join(parts)}{_recomputed(found)}"


def _recomputed(found: Estimate) -> str:
    """Return which layers are calculated anew in the backward pass, where any are."""
    if found.layers is None or found.stored_layers in (None, found.layers):
        return ""
    return f"  ({found.layers - (found.stored_layers or 0)} of {found.layers} layers recomputed)"


def _time(found: Estimate) -> str:
    seconds, least = found.seconds, ""
    if seconds is None and found.at_least:
        seconds, least = found.at_least.seconds, "at least "
    if seconds is None:
        return "?"
    rate = f"{found.tokens_per_second:,.0f} tokens/s, " if found.tokens_per_second else ""
    return f"{least}{duration(seconds)}   ({rate}{found.rate})"


def _disk(found: Estimate) -> str:
    disk = found.disk
    if disk is None:
        return "?"
    parts = []
    for name, count in (
        ("to fetch", disk.fetch),
        ("rows and packs about", disk.rows),
        ("checkpoints up to", disk.checkpoints),
        ("states", disk.states),
        ("adapter", disk.adapter),
    ):
        parts.append(f"{name} {'?' if count is None else size(count)}")
    return "  ".join(parts)


def _end(plan: Plan, results: Results, options: Namespace) -> list[str]:
    lines = [""]
    if options.verbose:
        rows = []
        for step in plan.steps:
            result = results[step.name]
            status = "cached" if result else "to run"
            rows.append((step.name, step.plugin.name, status, described(step.kind, result)))
        lines += [columns(rows), ""]
    to_run = [step.name for step in plan.steps if results[step.name] is None]
    first = f"   first: {to_run[0]}" if to_run else ""
    done = len(plan.steps) - len(to_run)
    lines.append(f"  to run: {len(to_run)} steps   cached: {done}{first}")
    unpinned = any(step.kind == "source" and step.material is None for step in plan.steps)
    action = f"recipe lock {options.file}" if unpinned else f"recipe run {options.file}"
    return [*lines, f"  next: {action}"]
