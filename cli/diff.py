"""Compare two recipes by meaning, and list the steps that rerun.

A and B are each a recipe, a run or its record, or a recipe at a git revision (`HEAD~1:my.yaml`).
With `--set`, B is A with those settings, and may be omitted. Exit status 1 when they differ.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path

from ..compiler.yaml.textconv import canonical_text
from ..plugins.registry import load_registry
from ..project.diff_operands import Operand, open_operand
from ..project.difference import difference
from ..schema.errors import InputError
from .arguments import consent_argument
from .diff_text import difference_text
from .output import emit
from .session import show_warnings
from .set_option import set_argument


def arguments(parser: ArgumentParser) -> None:
    """Add the command's arguments."""
    what = "a recipe, a shipped one's name, a run, a record, or REV:path of git"
    parser.add_argument("before", nargs="?", metavar="A", help=what)
    parser.add_argument(
        "after", nargs="?", metavar="B", help="the other side; with --set, A itself"
    )
    set_argument(parser)
    parser.add_argument(
        "--device", metavar="NAME", help="estimate for this device, as in `recipe plan`"
    )
    consent_argument(parser)
    parser.add_argument(
        "--git-textconv", metavar="FILE", help="print FILE as text for git's textconv"
    )


def run(options: Namespace) -> int:
    """Print changes, reruns and effects; exit status 1 where anything differs."""
    if options.git_textconv is not None:
        return _textconv(options)
    if options.before is None or (options.after is None and not options.settings):
        raise InputError(
            "two sides are needed to compare",
            hint="recipe diff A B, or recipe diff A --set PATH=VALUE",
        )
    before = _open(options, options.before)
    after = _open(options, options.after or options.before, options.settings)
    found = difference(before, after, options.device)
    document = {
        "same": found.same,
        "changes": [change.as_json() for change in found.changes],
        "reruns": list(found.reruns),
        "causes": found.reruns,
        "dropped": found.dropped,
        "effects": {"before": found.before, "after": found.after},
        "outcome": found.outcome,
    }
    emit(options, document, difference_text(found))
    return 0 if found.same else 1


def _open(options: Namespace, text: str, settings: Sequence[str] = ()) -> Operand:
    operand = open_operand(
        text,
        store=options.store,
        settings=settings,
        allow_local_plugins=options.allow_local_plugins,
    )
    if operand.session is not None:
        show_warnings(operand.session, options)
    return operand


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
