"""Format a plan as text: data, training with memory, time and disk, rules, steps to run."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..compiler.instances import ask
from ..plugins.kinds import Breach
from ..project.forecast import Forecast
from ..project.planning import Planned
from ..project.session import Session
from ..schema.estimate import PARTS, Bound, Estimate, StepTime
from ..schema.plan import Plan
from .base_layout import layout_text
from .output import columns, duration, short, size
from .step_summary import described

GIB = 2**30
LABEL = 10
"""Width of the words that lines below `train` begin with."""
MANY = 100_000
"""Rows that the time of a step is told for where their number is not known."""


def plan_text(planned: Planned, name: str, *, verbose: bool) -> str:
    """Return the plan of the recipe of that name; the steps one by one where verbose."""
    estimate = planned.forecast.estimate
    lines = [*_head(planned.plan), *_data(planned)]
    if planned.plan.trains:
        lines += _train(planned.session, planned.forecast)
        lines += _other_steps(estimate)
    else:
        lines.append(f"  disk    {_disk(estimate, trains=False)}")
    lines += _rules(planned.doubts)
    lines += [f"  assumed {text}" for text in estimate.assumed]
    unknown = [text for text in estimate.unknown if not text.startswith("size of sources")]
    lines += [f"  unknown {text}" for text in unknown]
    lines += ["", *planned.misses.lines()] if planned.misses else []
    return "\n".join([*lines, *_end(planned, name, verbose=verbose)])


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


def _head(plan: Plan) -> list[str]:
    sources = [step for step in plan.steps if step.kind == "source"]
    unpinned = [step.name for step in sources if step.material is None]
    head = f"{plan.recipe}   recipe hash {short(plan.recipe_hash)}"
    if not unpinned:
        model = plan.has("base")
        count = len(sources) - model
        words = f"locked {count} source{'s' * (count != 1)}{', 1 model' * model}"
        return [f"{head}   {words}", ""]
    return [head, f"  not pinned: {', '.join(unpinned)}; the hash is provisional", ""]


def _data(planned: Planned) -> list[str]:
    """Return a line for each data set, and one for the mixture of them."""
    session, seen, results = planned.session, planned.forecast, planned.results
    rows = []
    for name, data in seen.estimate.data.items():
        steps = [s for s in session.compiled.plan.steps if s.name.startswith(f"data/{name}/")]
        if not steps:
            continue
        waiting = sum(results[step.name] is None for step in steps)
        count = "? rows" if data.rows is None else f"{data.rows:,} rows"
        before = seen.known.before.get(name)
        if data.basis == "counted" and before not in (None, data.rows):
            count = f"{before:,} -> {count}"
        how = "" if data.basis in ("counted", "unknown") else str(data.basis)
        if data.basis == "expected" and data.at_most is not None:
            how += f", at most {data.at_most:,}"
        state = "cached" if not waiting else f"{waiting} of {len(steps)} steps to run"
        rows.append((name, count, how, state))
    if session.compiled.plan.has("mixture"):
        rows.append(("mixture", _mixture(session, seen.estimate), "", ""))
    return ["  data", columns(rows, indent="    ")]


def _mixture(session: Session, found: Estimate) -> str:
    if not session.compiled.plan.trains:
        return "? rows" if found.rows is None else f"{found.rows:,} rows"
    length = session.compiled.recipe.training()[1].sequence_len
    amount = found if found.rows is not None else found.at_least
    if amount is None or amount.rows is None or amount.tokens is None or amount.packs is None:
        return "? rows"
    text = f"{_sure(found)}{amount.rows:,} rows, {_millions(amount.tokens)} tokens, "
    text += f"{amount.packs:,} packs of {length:,}"
    full = amount.tokens / (amount.packs * length) if amount.packs else 0.0
    text += f" ({100 * full:.1f} % full)" if found.counted else ""
    return text + _range(found, lambda bound: f"{bound.rows:,} rows")


def _sure(found: Estimate) -> str:
    """Return how certain rows, and what follows from them, are."""
    if found.rows is None:
        return "at least "
    likely = any(data.basis in ("expected", "at most") for data in found.data.values())
    return "about " if likely and not found.counted else ""


def _range(found: Estimate, shown: Callable[[Bound], str | None]) -> str:
    """Return the bounds of a likely number in words; nothing where there are none."""
    if found.rows is None:
        return ""
    bounds = {"at least": found.at_least, "at most": found.at_most}
    texts = [f"{word} {text}" for word, bound in bounds.items() if bound and (text := shown(bound))]
    return f"   ({', '.join(texts)})" if texts else ""


def _millions(count: int) -> str:
    return f"{count:,}" if count < 1e6 else f"{count / 1e6:.1f} M"


def _train(session: Session, seen: Forecast) -> list[str]:
    """Return the trained parameters and steps, and their memory, time and disk."""
    found, support, chat = seen.estimate, seen.support, seen.chat
    model, train = session.compiled.recipe.training()
    adapter = model.adapter
    size = ask(session.registry, "adapter", adapter, lambda plugin: plugin.size())
    words = [train.use, f"{adapter.use} {size}" if size else adapter.use]
    if found.trained is not None and found.parameters:
        share = 100 * found.trained / found.parameters
        words.append(f"{_millions(found.trained)} parameters ({share:.2g} %)")
    steps, sure = found.steps, _sure(found)
    if steps is None and found.at_least:
        steps = found.at_least.steps
    elif found.at_least and found.at_least.steps == steps:
        sure = ""
    words.append(f"{sure}{steps:,} steps" if steps is not None else "? steps")
    lines = [f"  train   {'  '.join(words)}"]
    if (setting := session.compiled.plan.varies_by) is not None:
        loose = f"`{setting}`: the result hash need not come again"
        lines.append(f"    {'bits'.ljust(LABEL)}{loose}")
    if support is not None:
        lines.append(f"    {'batches'.ljust(LABEL)}{layout_text(support)}")
    if chat is not None and chat.history:
        lines.append(f"    {'chats'.ljust(LABEL)}{chat.history}: {chat.reason}")
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
    """Return how many layers are recomputed in the backward pass, where any are."""
    if found.layers is None or found.stored_layers in (None, found.layers):
        return ""
    return f"  ({found.layers - (found.stored_layers or 0)} of {found.layers} layers recomputed)"


def _time(found: Estimate) -> str:
    seconds = found.seconds
    if seconds is None and found.at_least:
        seconds = found.at_least.seconds
    if seconds is None:
        return _elsewhere(found) or "?"
    rate = f"{found.tokens_per_second:,.0f} tokens/s, " if found.tokens_per_second else ""
    bounds = _range(found, lambda bound: duration(bound.seconds) if bound.seconds else None)
    return f"{_sure(found)}{duration(seconds)}   ({rate}{found.rate}){bounds}"


def _other_steps(found: Estimate) -> list[str]:
    """Return a line for each step beside training that takes long, with its rate's origin."""
    if not found.other_steps:
        return []
    rows = []
    for one in found.other_steps:
        count = "" if one.rows is None else f"{one.rows:,} rows"
        rows.append((one.step, count, _other_time(one)) if count else (one.step, _other_time(one)))
    return ["  also    steps that run the model, or take long", columns(rows, indent="    ")]


def _other_time(one: StepTime) -> str:
    """Return the time of a step, and where its rate comes from."""
    if one.run is not None:
        seconds = "? s" if one.seconds is None else duration(one.seconds)
        return f"{seconds}   (measured here, {one.run})"
    if one.seconds_per_row is None:
        return "time not known: no run here has done it"
    time = (
        f"{duration(one.seconds_per_row * MANY)} for each {MANY:,} rows"
        if one.seconds is None
        else duration(one.seconds)
    )
    return f"at most {time}   ({one.device}: table, not measured here)"


def _elsewhere(found: Estimate) -> str:
    """Return the time on devices of the table, the fastest first, where none is named."""
    times = sorted(found.elsewhere.items(), key=lambda one: one[1])
    shown = ", ".join(f"{name} {duration(seconds)}" for name, seconds in times)
    return f"{shown}   (table, not measured here; `--device NAME` names one)" if shown else ""


def _disk(found: Estimate, *, trains: bool = True) -> str:
    disk = found.disk
    if disk is None:
        return "?"
    parts = []
    training = [
        ("checkpoints up to", disk.checkpoints),
        ("states", disk.states),
        ("adapter", disk.adapter),
    ]
    rows = "rows and packs about" if trains else "rows about"
    for name, count in (
        ("to fetch", disk.fetch),
        (rows, disk.rows),
        *(training if trains else ()),
    ):
        parts.append(f"{name} {'?' if count is None else size(count)}")
    return "  ".join(parts)


def _end(planned: Planned, name: str, *, verbose: bool) -> list[str]:
    plan, results, lines = planned.plan, planned.results, [""]
    if verbose:
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
    action = f"recipe lock {name}" if unpinned else f"recipe run {name}"
    if not unpinned and (last := planned.session.compiled.until) is not None:
        action += f" --until {last}"
    return [*lines, f"  next: {action}"]
