"""The error tree. Every failure a user can meet is one of these: where, what, what to do.

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

WIDTH = 160
"""Characters of a recipe's line that a diagnostic shows."""


@dataclass(frozen=True)
class Diagnostic:
    """One problem of a recipe, with its place.

    `line` and `column` count from 1; `length` is how many characters the caret underlines.
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
        text = f"{self.file}:{self.line}:{self.column}: {self.message}"
        if self.source is not None:
            # Of a very long line only what is around the place is shown.
            start = max(0, self.column - 1 - WIDTH // 2) if len(self.source) > WIDTH else 0
            shown = self.source[start : start + WIDTH]
            indent = self.column - 1 - start
            width = max(1, min(self.length, len(shown) - indent))
            text += f"\n  {self.line:>4} | {shown}"
            text += f"\n       | {' ' * indent}{'^' * width}"
            if self.suggestion:
                text += f" {self.suggestion}"
        elif self.suggestion:
            text += f"; {self.suggestion}"
        return text

    def as_json(self) -> dict[str, object]:
        """Return the keys that scripts and editors rely on."""
        return {
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "length": self.length,
            "code": self.code,
            "message": self.message,
            "suggestion": self.suggestion,
        }


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
    """What the user gave cannot be used as it is."""

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


class FetchError(WorkError):
    """Bytes could not be had, or are not the ones that were pinned."""

    code = "fetch"


class StoreError(WorkError):
    """The store cannot be read or written."""

    code = "store"
