"""Rewrite recipes for `fmt` and `migrate`: in place, as a check, or as a diff."""

from __future__ import annotations

import stat
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from difflib import unified_diff
from pathlib import Path

from ..project.bundled_recipes import open_recipe
from ..runtime.store.atomic_io import write_atomically
from ..schema.errors import Diagnostic, InputError, RecipeError
from ..schema.printable import printable
from ..schema.secrets import mask
from .output import emit

STDIN = "-"


@dataclass
class RewrittenFile:
    """A file before and after; `notes` describe the changes."""

    file: str
    before: str
    after: str
    notes: list[str] = field(default_factory=list)

    @property
    def path(self) -> str:
        """Return the file's name in messages."""
        return "standard input" if self.file == STDIN else self.file

    def diff(self) -> Iterator[str]:
        """Yield the lines of a unified diff that `git apply -p0` takes."""
        before, after = (text.splitlines(keepends=True) for text in (self.before, self.after))
        for line in unified_diff(before, after, self.path, self.path):
            yield line.removesuffix("\n")
            if not line.endswith("\n"):
                yield "\\ No newline at end of file"


Rewrite = Callable[[bytes, str], RewrittenFile]
"""Rewrites the bytes of a file of this name. Raises RecipeError or InputError."""


def arguments(parser: ArgumentParser) -> None:
    """Add the files, and whether to write them."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="a recipe; `-` reads from a pipe")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 if a file would change"
    )
    parser.add_argument(
        "--diff",
        action="store_true",
        help="write nothing; show the changes, and exit 1 if there are any",
    )


def run(options: Namespace, rewrite: Rewrite, done: str) -> int:
    """Rewrite every file that can be; `done` is the word for it. Return the exit status."""
    changes: list[RewrittenFile] = []
    found: list[Diagnostic] = []
    keep = options.check or options.diff
    for name in options.files:
        try:
            changes.append(_rewrite(name, rewrite, keep))
        except RecipeError as error:
            found.extend(error.diagnostics)
        except InputError as error:
            found.append(Diagnostic(name, 1, 1, error.code, error.message, error.hint))
    changed = [change for change in changes if change.before != change.after]
    document = {
        "changed": [change.file for change in changed],
        "notes": {change.file: change.notes for change in changed},
        "diagnostics": [diagnostic.as_json() for diagnostic in found],
    }
    piped = "".join(change.after for change in changes if change.file == STDIN)
    if STDIN in options.files:
        document["text"] = piped
    for diagnostic in found:
        if not options.json:
            print(printable(mask(str(diagnostic))), file=sys.stderr)
    if STDIN in options.files and not keep and not options.json:
        sys.stdout.write(piped)
    elif changes or options.json:
        emit(options, document, _text(options, changes, changed, done))
    return 2 if found else int(bool(changed and keep))


def _rewrite(name: str, rewrite: Rewrite, keep: bool) -> RewrittenFile:
    if name == STDIN:
        return rewrite(sys.stdin.buffer.read(), STDIN)
    # With a folder before it, so that a missing file is not taken for a shipped recipe.
    path, raw = open_recipe(f"./{name}" if "/" not in name else name, Path.cwd())
    change = rewrite(raw, name)
    if not keep and change.before != change.after:
        write_atomically(path, change.after, stat.S_IMODE(path.stat().st_mode))
    return change


def _text(
    options: Namespace, changes: list[RewrittenFile], changed: list[RewrittenFile], done: str
) -> str:
    if options.diff:
        return "\n".join(line for change in changed for line in change.diff())
    keep = options.check
    lines = []
    for change in changed:
        lines.append(f"would be {done}: {change.path}" if keep else f"{done} {change.path}")
        if not options.quiet:
            lines += [f"  {note}" for note in change.notes]
    total = len(changes)
    count = f"{total} recipe{'s' * (total != 1)}"
    if not changed:
        return f"{count} {'are as they' if total != 1 else 'is as it'} should be"
    lines.append(f"{len(changed)} of {count} {'would be ' if keep else ''}{done}")
    return "\n".join(lines)
