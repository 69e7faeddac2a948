"""The error tree: every error that a user can meet has a place, a cause and a remedy.

KhichdiError
├── InputError         the recipe or the options are wrong           exit status 2
│   ├── RecipeError    all diagnostics of a recipe, each with a place
│   ├── LockError      the lock does not fit the recipe or the bytes
│   └── RegistryError  a plugin breaks the contract, or is missing
└── WorkError          the input is fine, the work failed            exit status 3
    ├── StepError      a step of the plan failed
    ├── FetchError     bytes could not be had, or are not the pinned ones
    └── StoreError     the store cannot be read or written
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from unicodedata import combining, east_asian_width

BREACH = "rule"
"""The code of a diagnostic of a broken rule: the recipe compiles, and must not run."""

WIDTH = 160
"""Characters of a recipe's line that a diagnostic shows where no terminal says its width."""

CODES = {
    "anchor": "an anchor or an alias",
    "base-refused": "a base that cannot be trained",
    "contradiction": "settings that contradict one another, or one that nothing uses",
    "deprecated": "a deprecated plugin or parameter (a warning)",
    "duplicate-key": "a key that is given twice in one mapping",
    "empty": "a file with nothing in it",
    "encoding": "bytes that are not UTF-8, or control characters",
    "extends": "a recipe that cannot be extended",
    "file": "a file that the recipe names and that cannot be read",
    "input": "a file that is not there, or cannot be read",
    "key": "a key that is not a plain word",
    "migration": "part of an older recipe that this version of the language lacks",
    "missing": "a key that is needed and not given",
    "missing-use": "a plugin that is not named",
    "more": "more errors than are shown",
    "no-file": "a file or folder of a source that is not on this machine (a warning)",
    "no-module": "an adapter's module that the base does not have",
    "no-scores": "a sampler that goes by scores, in a data set without a scorer",
    "incomplete": "a model without its training, or training without a model",
    "no-model": "a filter or scorer that needs the base, in a recipe without a model",
    "no-token": "a special token that the base's tokenizer lacks",
    "no-validation": "a setting that needs a validation set, where there is none",
    "no-weight": "a data set that the mixture's weights leave out",
    "not-a-mapping": "a file that is not a mapping of keys",
    "not-a-recipe": "a file that is YAML but not a recipe",
    "number": "a number that a recipe cannot hold",
    "plugin": "a plugin file that cannot be run, or does not keep its kind's contract",
    BREACH: "a breach of one of the recipe's rules",
    "secret": "a token, a key or a password",
    "set": "a value set for one command, whose path leads nowhere",
    "set-twice": "a value that is set twice for one command",
    "tag": "a YAML tag",
    "template-refused": "a template that cannot write the base's chats",
    "text": "a text that cannot be written as UTF-8, or has NUL",
    "too-deep": "more levels than a recipe has",
    "too-long-for-base": "more tokens in a pack than the base was made for",
    "too-large": "more bytes or values than a recipe has",
    "too-many-tokens": "a tokenizer with more tokens than the base has embedding rows",
    "twice": "the same thing named twice in a list",
    "undecided": "a plugin that is still to be decided (`use: TODO`)",
    "unknown-benchmark": "a benchmark that the recipe does not describe",
    "unknown-data-set": "a data set that the recipe does not describe",
    "unknown-key": "a key or a parameter that the language does not have",
    "unknown-plugin": "a plugin that is not installed",
    "unused": "a part of the recipe that nothing uses",
    "version": "a version of the language that is not known",
    "wrong-type": "a value of another type than was expected",
    "wrong-value": "a value that is out of range or none of those there are",
    "yaml": "text that is not YAML",
}
"""Every code of a diagnostic of a recipe, and what it stands for; a code never changes meaning."""


@dataclass(frozen=True)
class Diagnostic:
    """One problem of a recipe, with its place.

    `line` and `column` count from 1, in characters; `length` is how many characters the caret
    underlines, all on that line. `code` is one of `CODES`.
    """

    file: str
    line: int
    column: int
    code: str
    message: str
    suggestion: str | None = None
    source: str | None = None
    length: int = 1

    def __str__(self) -> str:
        return "\n".join("".join(text for text, _ in line) for line in self.layout())

    def layout(self, width: int = WIDTH) -> list[list[tuple[str, str]]]:
        """Return lines of (text, role); the recipe's own line is cut to the width.

        Roles: `place`, `message`, `number`, `source`, `caret`, `suggestion`.
        """
        place = f"{self.file}:{self.line}:{self.column}:"
        lines = [[(place, "place"), (f" {self.message}", "message")]]
        if self.source is None:
            if self.suggestion:
                lines[0].append((f"; {self.suggestion}", "suggestion"))
            return lines
        # Of a very long line only the part around the place is shown.
        room = max(20, width - 9)
        start = max(0, self.column - 1 - room // 2) if len(self.source) > room else 0
        shown = self.source[start : start + room].replace("\t", " ")
        indent = _cells(shown[: self.column - 1 - start])
        spanned = shown[self.column - 1 - start :][: self.length]
        lines.append([(f"  {self.line:>4} | ", "number"), (shown, "source")])
        carets = "^" * max(1, _cells(spanned))
        lines.append([("       | ", "number"), (f"{' ' * indent}{carets}", "caret")])
        if self.suggestion:
            lines[-1].append((f" {self.suggestion}", "suggestion"))
        return lines

    def as_json(self) -> dict[str, object]:
        """Return the keys that scripts and editors rely on.

        `range` counts from 1, in characters, and its end is the first place behind.
        """
        return {
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "length": self.length,
            "range": {
                "start": {"line": self.line, "column": self.column},
                "end": {"line": self.line, "column": self.column + self.length},
            },
            "code": self.code,
            "message": self.message,
            "suggestion": self.suggestion,
        }


def _cells(text: str) -> int:
    """Return how many cells of a terminal a text takes: wide characters two, marks none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if combining(character) else 2 if east_asian_width(character) in "WF" else 1
        for character in text
    )


class KhichdiError(Exception):
    """Base of all: a message, an optional place, a hint of what to do, and an exit status."""

    status = 3
    code = "failed"

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        file: str | None = None,
        line: int | None = None,
        column: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.file = file
        self.line = line
        self.column = column

    def __str__(self) -> str:
        place = ":".join(str(p) for p in (self.file, self.line, self.column) if p is not None)
        text = f"{place}: {self.message}" if place else self.message
        return f"{text}\n  {self.hint}" if self.hint else text

    def as_json(self) -> dict[str, object]:
        """Return the document `{"error": ...}` of the command line."""
        return {
            "error": {
                "code": self.code,
                "message": self.message,
                "file": self.file,
                "line": self.line,
                "column": self.column,
                "hint": self.hint,
            }
        }


class InputError(KhichdiError):
    """Invalid input: a recipe, an option, or a file."""

    status = 2
    code = "input"


class RecipeError(InputError):
    """All the problems of one recipe at once."""

    code = "recipe"

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        self.diagnostics = tuple(sorted(diagnostics, key=lambda d: (d.file, d.line, d.column)))
        first = self.diagnostics[0]
        super().__init__(first.message, file=first.file, line=first.line, column=first.column)
        self.hint = first.suggestion

    def __str__(self) -> str:
        files = len({d.file for d in self.diagnostics})
        count = len(self.diagnostics)
        total = f"{count} error{'s' * (count != 1)} in {files} file{'s' * (files != 1)}"
        return "\n".join([*map(str, self.diagnostics), total])

    def as_json(self) -> dict[str, object]:
        """Return the error document with every diagnostic beside the first."""
        document = super().as_json()
        document["diagnostics"] = [d.as_json() for d in self.diagnostics]
        return document


class LockError(InputError):
    """The lock does not fit the recipe, or the bytes do not fit the lock."""

    code = "lock"


class RegistryError(InputError):
    """A plugin breaks its kind's contract, or a plan names one that is not installed."""

    code = "plugin"


class WorkError(KhichdiError):
    """The input is right and the work failed all the same."""

    code = "work"


class StepError(WorkError):
    """A step of the plan failed; what finished before it is kept."""

    code = "step"


class RowError(StepError):
    """A row cannot be used as it is; the recipe may ask to drop such rows.

    `reason` is the slug that a drop is counted under.
    """

    code = "row"

    def __init__(self, message: str, *, hint: str | None = None, reason: str = "refused") -> None:
        super().__init__(message, hint=hint)
        self.reason = reason


class FetchError(WorkError):
    """Bytes could not be had, or are not the ones that were pinned."""

    code = "fetch"


class StoreError(WorkError):
    """The store cannot be read or written."""

    code = "store"
