"""Show the plan: which steps are cached, which run, and an estimate of the cost."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from typing import Any

from ..compiler.estimate.devices import DEVICES
from ..plugins import ChatSupport
from ..project.launch import parse_launch
from ..project.planning import Planned, plan_session
from ..schema.errors import InputError
from .arguments import launch_argument, recipe_argument, until_argument
from .base_layout import layout_json
from .diagnostics import show
from .output import emit
from .plan_text import plan_text
from .session import open_session


def arguments(parser: ArgumentParser) -> None:
    """Add the command's arguments."""
    recipe_argument(parser)
    until_argument(parser)
    launch_argument(parser)
    parser.add_argument(
        "--device",
        metavar="NAME",
        help=f"estimate for this device: {', '.join(DEVICES)} (default: from the recipe's "
        "rules, or the one its base was trained on here)",
    )


def run(options: Namespace) -> int:
    """Print the plan and the estimate, the steps one by one with -v; then breaches of rules."""
    launch = None if options.launch is None else parse_launch(options.launch)
    planned = plan_session(open_session(options, allow_breaches=True), options.device, launch)
    if planned.missing and not (options.quiet or options.json):
        show(planned.missing, sys.stderr, "warning")
    emit(options, _document(planned), plan_text(planned, options.file, verbose=options.verbose))
    breaches = planned.forecast.breaches
    if breaches and not options.json:
        show(breaches, sys.stderr)
    return InputError.status if breaches else 0


def _document(planned: Planned) -> dict[str, Any]:
    plan = planned.plan
    return {
        "recipe_hash": plan.recipe_hash,
        "locked": plan.locked,
        "repeats": plan.repeats,
        "steps": _steps(planned),
        "estimate": planned.forecast.estimate.to_json(),
        "base": layout_json(planned.forecast.support),
        "chat": _chat(planned.forecast.chat),
        "warnings": [d.as_json() for d in (*planned.session.warnings, *planned.missing)],
        "breaches": [breach.as_json() for breach in planned.forecast.breaches],
        "rules": {
            name: [{"path": b.path, "message": b.message, "hint": b.hint} for b in found]
            for name, found in planned.doubts.items()
        },
    }


def _chat(support: ChatSupport | None) -> dict[str, str] | None:
    """Return what a chat with several answers comes to; None where that is not known."""
    if support is None or not support.history:
        return None
    return {"history": support.history, "reason": support.reason}


def _steps(planned: Planned) -> list[dict[str, Any]]:
    why = planned.misses.why if planned.misses else {}
    found = []
    for step in planned.plan.steps:
        result = planned.results[step.name]
        found.append(
            {
                "name": step.name,
                "kind": step.kind,
                "plugin": step.plugin.name,
                "key": step.key,
                "status": "cached" if result else "to-run",
                "why": why.get(step.name),
                "facts": result.facts if result else None,
            }
        )
    return found
