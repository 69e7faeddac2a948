"""Forecast a recipe's cost from its base model, cached counts and past runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..compiler.checks.chat_checks import chat_support, check_chat
from ..compiler.checks.model_checks import base_support, check_base_files
from ..compiler.checks.recipe_checks import check_base
from ..compiler.checks.token_checks import added_count, check_vocabulary
from ..compiler.estimate.architectures import from_config, known_architecture
from ..compiler.estimate.devices import DEVICES, device_named
from ..compiler.estimate.estimator import Known, estimate
from ..compiler.instances import ask
from ..plugins import BaseSupport, ChatSupport, Launch
from ..plugins.toolkit import built_architecture
from ..schema.architecture import Architecture
from ..schema.device import Device
from ..schema.errors import BREACH, Diagnostic, RecipeError
from ..schema.estimate import Comparison, Estimate
from ..schema.plan import Plan, PlanStep
from .base_files import KnownBase, known_base
from .past_runs import Results, device_of, measured_elsewhere, measured_here, waiting_steps
from .session import Session


@dataclass(frozen=True)
class Forecast:
    """A recipe's architecture, known counts, device, and estimated cost.

    `support` is how the runtime trains the base, and `chat` how the template writes chats over it,
    where its files are known. `breaches` are of the recipe's rules, as far as the estimate tells.
    """

    architecture: Architecture | None
    known: Known
    device: Device | None
    estimate: Estimate
    support: BaseSupport | None = None
    chat: ChatSupport | None = None
    breaches: tuple[Diagnostic, ...] = ()


def forecast(session: Session, device: str | None = None, launch: Launch | None = None) -> Forecast:
    """Estimate a recipe from everything its store knows, and check it against that.

    Args:
        session: the recipe.
        device: a device of the table; left out, the one that a rule of the recipe names, else
            the one that training of this base was measured on.
        launch: the processes that training is divided over; left out, one.

    Raises:
        InputError: there is no such device.
        RecipeError: the base cannot do what the recipe asks.
    """
    compiled = session.compiled
    recipe, plan = compiled.recipe, compiled.plan
    results = {step.name: session.store.result(step.key) for step in plan.steps}
    if not plan.trains:
        counted = _known(session, results, None, None)
        found = estimate(recipe.curation(), session.registry, None, None, counted)
        return Forecast(None, counted, None, found, breaches=compiled.breaches)
    named = device_named(device) if device else _ruled(session)
    measured = measured_here(session, results, named)
    chosen = named or (device_of(measured["device"]) if measured else None)
    base = known_base(session, results)
    architecture = base_architecture(session, base)
    known = _known(session, results, measured, chosen)
    faults = check_base(recipe, compiled.loaded, session.registry, architecture, known)
    faults += check_vocabulary(recipe, compiled.loaded, base.vocabulary)
    chat = chat_support(recipe, session.registry, base.chat)
    faults += check_chat(compiled.loaded, chat)
    support = None
    if base.config is not None:
        support = base_support(recipe, session.registry, base.config)
        more = check_base_files(recipe, compiled.loaded, base.config, support, base.tokens)
        faults += [fault for fault in more if fault not in faults]
    breaches = tuple(fault for fault in faults if fault.code == BREACH)
    if len(faults) > len(breaches):
        raise RecipeError(faults)
    found = estimate(recipe, session.registry, architecture, chosen, known, launch)
    return Forecast(architecture, known, chosen, found, support, chat, breaches)


def base_architecture(session: Session, base: KnownBase) -> Architecture | None:
    """Return the architecture of the base, or None where nothing tells it.

    It is read from the base's own `config.json`, where need be by building the model without its
    weights; else it is known by the base's name.
    """
    recipe = session.compiled.recipe
    found = None
    if base.config:
        found = from_config(base.config) or built_architecture(base.config)
    found = found or known_architecture(recipe, session.registry)
    added = added_count(recipe, base.vocabulary)
    if found is None or not added:
        return found
    # Added tokens take rows that the embedding has to spare, and then new ones.
    rows = max(found.vocab, (base.tokens or found.vocab) + added)
    return found.model_copy(update={"vocab": rows, "added_tokens": added})


def _ruled(session: Session) -> Device | None:
    """Return the device that a rule of the recipe is about."""
    for step in session.compiled.recipe.rules:
        name = ask(session.registry, "rule", step, lambda rule: rule.device())
        if name in DEVICES:
            return DEVICES[name]
    return None


def _known(
    session: Session,
    results: Results,
    measured: Mapping[str, Any] | None,
    device: Device | None,
) -> Known:
    plan = session.compiled.plan
    rows, before, filtered = _rows(plan, results)
    split, pack = results.get("split"), results.get("pack")
    sources = [step for step in plan.steps if step.kind == "source"]
    counted: Any = split.facts if split else {}
    packed: Any = pack.facts["train"] if pack else None
    found = measured or {}
    return Known(
        rows=rows,
        before=before,
        filtered=filtered,
        split=counted.get("rows_out"),
        held_out=counted.get("held_out"),
        packs=packed,
        tokens_per_row=found.get("tokens_per_row"),
        tokens_per_second=found.get("tokens_per_second"),
        measured=found.get("run"),
        seconds=found.get("seconds"),
        sources={step.name: _size(step) for step in sources},
        fetched=frozenset(step.name for step in sources if results[step.name]),
        waiting=waiting_steps(session, results, device),
    )


def _size(source: PlanStep) -> int | None:
    if source.material is None:
        return None
    return sum(file.size for file in source.material.files)


def _rows(plan: Plan, results: Results) -> tuple[dict[str, int], dict[str, int], frozenset[str]]:
    """Return rows after and before samplers, and whose filters are all done."""
    rows: dict[str, int] = {}
    before: dict[str, int] = {}
    filtered: set[str] = set()
    for step in plan.steps:
        if not step.name.startswith("data/") or step.kind == "source":
            continue
        name = step.name.split("/")[1]
        result = results[step.name]
        if result is None:
            filtered.discard(name)
        elif step.kind == "sampler":
            rows[name] = int(str(result.facts["rows_out"]))
        else:
            before[name] = int(str(result.facts["rows_out"]))
            filtered.add(name)
    unsampled = {n for n in filtered if not any(_waits(s, n, results) for s in plan.steps)}
    return rows, before, frozenset(unsampled)


def _waits(step: PlanStep, name: str, results: Results) -> bool:
    """Return whether a step of a data set, other than its sampler, has to run."""
    inside = step.name.startswith(f"data/{name}/") and step.kind not in ("source", "sampler")
    return inside and results[step.name] is None


def compared(session: Session) -> Comparison | None:
    """Return the estimate of a finished training beside its measurements.

    The estimate is the one just before training: packs are counted, and only measurements of other
    trainings are used. None where there is no account, or nothing was measured.
    """
    recipe, plan = session.compiled.recipe, session.compiled.plan
    results = {step.name: session.store.result(step.key) for step in plan.steps}
    train = results.get("train")
    if train is None or not train.measured.get("device"):
        return None
    own: Any = train.measured
    device = device_of(str(own["device"]))
    architecture = base_architecture(session, known_base(session, results))
    known = _known(session, results, measured_elsewhere(session, device), device)
    found = estimate(recipe, session.registry, architecture, device, known)
    memory = found.memory
    whole = (
        memory.total - (memory.process if device is None or device.gpu else 0) if memory else None
    )
    return Comparison(
        memory_bytes=whole,
        measured_memory_bytes=own.get("peak_memory_bytes"),
        seconds=found.seconds,
        measured_seconds=own.get("seconds"),
    )
