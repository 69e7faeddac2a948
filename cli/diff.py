"""What differs in meaning between two recipes, and which steps that makes run again.

A and B are each a recipe, a run or its record, or a recipe at a git revision (`HEAD~1:my.yaml`).
With `--set`, B is what is set in it, and may be left out. Exit status 1 when they differ.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from ..compiler.diff import SECTIONS, Change, changes, other_bytes, other_versions
from ..compiler.invalidation import dropped, reruns
from ..compiler.yaml.textconv import canonical_text
from ..plugins.registry import load_registry
from ..schema.errors import InputError
from .claims import consent_argument
from .outcome import outcome, outcome_text
from .output import columns, duration, emit, size
from .setting import set_argument
from .sides import Side, open_side
from .values import both


def arguments(parser: ArgumentParser) -> None:
    """Add what this command takes."""
    what = "a recipe, a shipped one's name, a run, a record, or REV:path of git"
    parser.add_argument("before", nargs="?", metavar="A", help=what)
    parser.add_argument("after", nargs="?", metavar="B", help="another; with --set, A itself")
    set_argument(parser)
    parser.add_argument(
        "--device", metavar="NAME", help="estimate for this device, as `recipe plan` takes it"
    )
    consent_argument(parser)
    parser.add_argument(
        "--git-textconv", metavar="FILE", help="print FILE as text that git can diff by meaning"
    )


def run(options: Namespace) -> int:
    """Print what differs, and what it reruns."""
    if options.git_textconv is not None:
        return _textconv(options)
    if options.before is None or (options.after is None and not options.settings):
        raise InputError(
            "two are needed to tell a difference",
            hint="recipe diff A B, or recipe diff A --set PATH=VALUE",
        )
    one = open_side(options, options.before)
    other = open_side(options, options.after or options.before, options.settings)
    one, other = one.pinned_like(other), other.pinned_like(one)
    found = changes(one.recipe, other.recipe)
    found += other_bytes(one.plan, other.plan) + other_versions(one.plan, other.plan)
    happened = outcome(one.record, other.record) if one.record and other.record else None
    same = not found and (happened is None or happened["same"])
    again = reruns(one.plan, other.plan) if found else {}
    gone = dropped(one.plan, other.plan) if found else []
    before, after = (side.known(options.device) for side in (one, other))
    document = {
        "same": same,
        "changes": [change.as_json() for change in found],
        "reruns": list(again),
        "causes": again,
        "dropped": gone,
        "effects": {"before": before, "after": after},
        "outcome": happened,
    }
    parts = [_changes(found)] if found else ["the same in meaning"]
    if found:
        parts.append(_reruns(again, gone, other))
        parts += [text for text in [_effects(before, after)] if text]
    if happened is not None:
        parts.append(outcome_text(happened))
    emit(options, document, "\n\n".join(parts))
    return 0 if same else 1


def _textconv(options: Namespace) -> int:
    if options.before is not None or options.settings:
        raise InputError("--git-textconv takes one file and nothing else")
    try:
        raw = Path(options.git_textconv).read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {options.git_textconv}: {error.strerror}") from None
    sys.stdout.flush()
    sys.stdout.buffer.write(canonical_text(raw, load_registry()))
    sys.stdout.buffer.flush()
    return 0


def _changes(found: list[Change]) -> str:
    """Return a line per change, grouped by section.

    Of what is there on one side only, what is default anyway is left out.
    """
    shown = [
        change
        for change in found
        if change.kind == "changed" or not (change.before_default or change.after_default)
    ] or found
    width = max(len(change.path) for change in shown)
    groups = []
    for section in SECTIONS:
        lines = [
            f"{change.path.ljust(width)}  {both(change)}"
            for change in shown
            if change.section == section
        ]
        if lines:
            groups.append("\n".join(lines))
    return "\n\n".join(groups)


def _reruns(again: dict[str, str], gone: list[str], other: Side) -> str:
    lines = [f"reruns {len(again)} of {len(other.plan.steps)} steps" + (":" if again else "")]
    if again:
        lines.append(columns(list(again.items())))
    if gone:
        lines.append(f"no longer there: {', '.join(gone)}")
    return "\n".join(lines)


SHOWN = {
    "rows": ("rows", "{:,}".format),
    "tokens": ("tokens", "{:,}".format),
    "steps": ("steps", "{:,}".format),
    "gpu_memory_bytes": ("memory", size),
    "seconds": ("time", duration),
}


def _effects(before: dict[str, Any], after: dict[str, Any]) -> str:
    """Return what the difference does to rows, tokens, memory and time, as far as it is known."""
    words = []
    for key, (name, shown) in SHOWN.items():
        old, new = before[key], after[key]
        if old is not None and new is not None:
            same = shown(old) == shown(new)
            words.append(f"{name} the same" if same else f"{name} {shown(old)} -> {shown(new)}")
    return "    ".join(words)
