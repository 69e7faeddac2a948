"""What differs in meaning between two recipes, and which steps that makes run again.

Exit status 1 when they differ.
"""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from dataclasses import replace
from typing import Any

from ..compiler.compile import with_lock
from ..compiler.diff import Change, changes, other_bytes, reruns
from ..runtime.pin import stale
from .output import columns, emit
from .plan import estimate
from .session import Session, open_session


def arguments(parser: ArgumentParser) -> None:
    """Add what this command takes."""
    parser.add_argument("before", metavar="A", help="a recipe, or a shipped one's name")
    parser.add_argument("after", metavar="B", help="another")


def run(options: Namespace) -> int:
    """Print what differs, and what it reruns."""
    one, other = (open_session(options, name) for name in (options.before, options.after))
    one, other = _pinned_like(one, other), _pinned_like(other, one)
    found = changes(one.compiled.recipe, other.compiled.recipe)
    found += other_bytes(one.compiled.plan, other.compiled.plan)
    again = reruns(one.compiled.plan, other.compiled.plan)
    document = {
        "same": not found,
        "changes": [{"path": c.path, "before": c.before, "after": c.after} for c in found],
        "reruns": again if found else [],
    }
    text = _text(found, again, one, other) if found else "the same in meaning"
    emit(options, document, text)
    return 1 if found else 0


def _pinned_like(session: Session, other: Session) -> Session:
    """Return the session with the other's pins for what it asks for in the same words and place.

    A variant that was never locked then reruns only what it changes.
    """
    if other.lock is None:
        return session
    compiled, theirs = session.compiled, other.compiled.folders
    pins = dict(session.lock.materials) if session.lock else {}
    for name in stale(compiled.plan, session.lock):
        if name in other.lock.materials and theirs.get(name) == compiled.folders[name]:
            pins[name] = other.lock.materials[name]
    lock = other.lock.model_copy(update={"materials": pins})
    return replace(session, compiled=with_lock(compiled, session.registry, lock))


def _text(found: list[Change], again: list[str], one: Session, other: Session) -> str:
    rows = [(change.path, f"{_value(change.before)} -> {_value(change.after)}") for change in found]
    total = len(other.compiled.plan.steps)
    lines = [columns(rows, indent=""), "", f"reruns {len(again)} of {total} steps"]
    if again:
        lines[-1] += f": {', '.join(again)}"
    known = [_known(session) for session in (one, other)]
    effects = [
        f"{name} {before:,} -> {after:,}"
        for name, before, after in zip(("rows", "tokens"), *known, strict=True)
        if before is not None and after is not None
    ]
    return "\n".join([*lines, *(["    ".join(effects)] if effects else [])])


def _known(session: Session) -> tuple[int | None, int | None]:
    """Return the rows and tokens to train on, where they have been counted."""
    plan = session.compiled.plan
    counted = estimate(plan, {step.name: session.store.result(step.key) for step in plan.steps})
    return counted["rows"], counted["tokens"]


def _value(value: Any) -> str:
    if value is None:
        return "(none)"
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
