"""Cut a plan short: the steps that lead to one of them, with a recipe hash of their own."""

from __future__ import annotations

from ..schema.did_you_mean import nearest
from ..schema.errors import InputError
from ..schema.plan import Plan, recipe_hash

SECTIONS = {"mixture": "split"}
"""Sections of a recipe whose last step has another name: the mixture ends with its split."""


def last_step(plan: Plan, name: str) -> str | None:
    """Return the step that a plan is to end with; None where nothing comes after it.

    Raises:
        InputError: there is no such step, nor part of the recipe; the hint names some.
    """
    step = step_named(plan, name)
    return None if len(_needed(plan, step)) == len(plan.steps) else step


def step_named(plan: Plan, name: str) -> str:
    """Return the step that a name stands for.

    Args:
        plan: the plan.
        name: a step, or a part of the recipe such as `mixture` or `data/lima`, whose last step is
            meant.

    Raises:
        InputError: there is no such step, nor part of the recipe; the hint names some.
    """
    step = SECTIONS.get(name, name)
    if not plan.has(step):
        below = [one.name for one in plan.steps if one.name.startswith(f"{name.rstrip('/')}/")]
        if not below or not set(below) <= _needed(plan, below[-1]):
            known = [*SECTIONS, *(one.name for one in plan.steps)]
            near = nearest(name, known)
            listed = ", ".join(below or dict.fromkeys(known))
            hint = f"did you mean `{near}`?" if near and not below else f"steps: {listed}"
            raise InputError(f"the plan has no step `{name}`", hint=hint)
        step = below[-1]
    return step


def ending_with(plan: Plan, last: str) -> Plan:
    """Return the plan of a step and all that it needs.

    It is locked where the sources that are left are, and its recipe hash covers no other step.
    """
    needed = _needed(plan, last)
    steps = tuple(step for step in plan.steps if step.name in needed)
    locked = all(step.material for step in steps if step.kind == "source")
    update = {"steps": steps, "locked": locked, "recipe_hash": recipe_hash(steps, locked)}
    short = plan.model_copy(update=update)
    return short if short.trains else short.model_copy(update={"varies_by": None})


def _needed(plan: Plan, last: str) -> set[str]:
    """Return the names of a step and of all steps that lead to it."""
    needed, waiting = set(), [last]
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting += [other for _, other, _ in plan.step(name).sources()]
    return needed
