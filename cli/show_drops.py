"""Show the rows that a step of a run dropped, with reasons; without a step, the counts."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import asdict
from itertools import islice
from typing import TYPE_CHECKING, Any

from ..project.run_lookup import open_run
from ..schema.errors import InputError
from .arguments import run_argument
from .output import columns, emit, quoted

if TYPE_CHECKING:
    from ..runtime.row_lineage import DroppedRow, Lineage
    from ..schema.record import RecordedStep


def arguments(parser: ArgumentParser) -> None:
    """Add the command's arguments."""
    run_argument(parser)
    parser.add_argument("--step", metavar="NAME", help="the step, or a part of its name alone")
    parser.add_argument("--reason", metavar="SLUG", help="only drops for this reason")
    parser.add_argument(
        "--limit", type=int, default=20, metavar="N", help="number of rows (20; 0 for all)"
    )


def run(options: Namespace) -> int:
    """Print the rows, or the counts of every step."""
    lineage = open_run(options.run, store=options.store).lineage()
    if options.step is None:
        return _counts(options, lineage)
    name = _step(lineage, options.step)
    reasons = _reasons(lineage.done[name])
    if options.reason is not None and options.reason not in reasons:
        known = ", ".join(reasons) or "none"
        raise InputError(f"{name} dropped nothing as `{options.reason}`", hint=f"reasons: {known}")
    found = lineage.drops(name, options.reason)
    shown = list(islice(found, options.limit) if options.limit else found)
    document = {"step": name, "drops": reasons, "rows": [asdict(drop) for drop in shown]}
    emit(options, document, _text(name, reasons, shown))
    return 0


def _counts(options: Namespace, lineage: Lineage) -> int:
    steps = lineage.steps_with_drops()
    document = {step.name: _reasons(step) for step in steps}
    rows = [
        (name, ", ".join(f"{reason} {count:,}" for reason, count in drops.items()))
        for name, drops in document.items()
        if drops
    ]
    emit(options, document, columns(rows) or "no step dropped a row")
    return 0


def _reasons(step: RecordedStep) -> dict[str, int]:
    facts: Any = step.result.facts
    return dict(facts.get("drops") or {})


def _step(lineage: Lineage, text: str) -> str:
    names = [step.name for step in lineage.steps_with_drops()]
    found = next(filter(None, ([n for n in names if fits(n)] for fits in _fits(text))), [])
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(f"`{text}` is part of {len(found)} steps: {', '.join(found)}")
    raise InputError(
        f"no step `{text}` of this run could drop rows", hint=f"steps: {', '.join(names)}"
    )


def _fits(text: str) -> list[Callable[[str], bool]]:
    """Return how a step can be meant: by its name, the end of it, or a part of it."""
    return [
        lambda name: name == text,
        lambda name: name.endswith(text),
        lambda name: bool(text) and text in name,
    ]


def _text(name: str, reasons: dict[str, int], shown: list[DroppedRow]) -> str:
    total = sum(reasons.values())
    counted = ", ".join(f"{reason} {count:,}" for reason, count in reasons.items())
    lines = [f"{name} dropped {total:,} rows" + (f": {counted}" if counted else "")]
    for drop in shown:
        lines += ["", f"  {drop.id}", f"    {drop.reason}   {drop.detail}".rstrip()]
        for field in ("instruction", "input", "output"):
            if drop.row and drop.row[field]:
                lines.append(f"    {field:<12} {quoted(drop.row[field])}")
    if len(shown) < total:
        lines += ["", f"  {len(shown)} of {total:,} shown; --limit 0 shows all"]
    return "\n".join(lines)
