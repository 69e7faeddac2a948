"""List the steps that a difference reruns, each with its nearest cause."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..schema.plan import Plan, PlanStep, PluginRef


def reruns(before: Plan, after: Plan) -> dict[str, str]:
    """Return the steps of `after` whose result a run of `before` does not give, each with why.

    A step's own causes come first; a step without any runs again for its inputs.
    """
    keys = {step.key for step in before.steps}
    old = {step.name: step for step in before.steps}
    return {
        step.name: _why(step, old.get(step.name), before, after)
        for step in after.steps
        if step.key not in keys
    }


def roots(before: Plan, after: Plan) -> dict[str, str]:
    """Return those of the steps that run again which are a cause themselves, each with how.

    The others run again because one of these does.
    """
    old = {step.name: step for step in before.steps}
    found = {}
    for name in reruns(before, after):
        step, was = after.step(name), old.get(name)
        own = ["it is new"] if was is None else [*_own(step, was), *_lost(step, was, after)]
        if own:
            found[name] = ", ".join(own)
    return found


def dropped(before: Plan, after: Plan) -> list[str]:
    """Return the steps of `before` that `after` does without."""
    names = {step.name for step in after.steps}
    return [step.name for step in before.steps if step.name not in names]


def _why(step: PlanStep, old: PlanStep | None, before: Plan, after: Plan) -> str:
    if old is None:
        return "it is new"
    own = list(_own(step, old))
    causes = own or list(dict.fromkeys(_inputs(step, old, before, after)))
    return ", ".join(causes) or "something not on record, such as the version of a library"


def _own(step: PlanStep, old: PlanStep) -> Iterator[str]:
    if step.kind == "source" and (step.material or old.material):
        both = step.material and old.material
        yield "its bytes" if both else "its bytes, which are pinned on one side only"
        return
    settings = _differ(old.settings, step.settings)
    yield from _plugin(old.plugin, step.plugin, "its ", "plugin version", settings)
    for role in sorted(old.parts.keys() & step.parts.keys()):
        whose = f"its {role}'s "
        yield from _plugin(old.parts[role], step.parts[role], whose, f"its {role}'s version", [])
    if None not in (step.seed, old.seed) and step.seed != old.seed:
        yield "the seed"


def _plugin(
    old: PluginRef, new: PluginRef, whose: str, version: str, settings: list[str]
) -> Iterator[str]:
    """Yield how a plugin differs; `whose` and `version` are how it is spoken of."""
    if (old.kind, old.name) != (new.kind, new.name):
        yield f"{new.kind} {old.name} -> {new.name}"
        return
    if old.version != new.version:
        yield f"{version} {old.version} -> {new.version}"
    if old.file != new.file:
        yield f"{whose}plugin file"
    names = _differ(old.identity()["params"], new.identity()["params"]) + settings
    if names:
        yield f"{whose}parameters ({', '.join(names)})"


def _inputs(step: PlanStep, old: PlanStep, before: Plan, after: Plan) -> Iterator[str]:
    old_keys, keys = ({s.name: s.key for s in plan.steps} for plan in (before, after))
    was = {role: (name, output) for role, name, output in old.sources()}
    for role, name, output in step.sources():
        one = was.pop(role, None)
        if one is None:
            yield f"its new input {name}"
        elif (old_keys.get(one[0]), one[1]) != (keys[name], output):
            yield f"its input {name}"
    for name, _ in was.values():
        yield f"without its input {name}"


def _lost(step: PlanStep, old: PlanStep, after: Plan) -> Iterator[str]:
    """Yield the inputs that a step had and that no step of the plan gives any more."""
    there = {other.name for other in after.steps}
    roles = {role for role, _, _ in step.sources()}
    for role, name, _ in old.sources():
        if role not in roles and name not in there:
            yield f"without its input {name}"


def _differ(one: Mapping[str, object], other: Mapping[str, object]) -> list[str]:
    missing = object()
    return [
        name
        for name in sorted(one.keys() | other.keys())
        if one.get(name, missing) != other.get(name, missing)
    ]
