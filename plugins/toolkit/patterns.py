"""Regular expressions of a recipe, under a time limit: one that backtracks forever is an error.

A recipe may be a stranger's, and an auditor runs it. Patterns are Python's, in syntax and in
meaning; they are searched by the `regex` package, which can be stopped.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any

from ...schema.errors import StepError
from ..side_effects import loading

SECONDS = 10.0
"""The longest that one text may take."""


def check_pattern(pattern: str) -> None:
    """Raise ValueError where a text is not a regular expression."""
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"not a regular expression: {error}") from None


class Pattern:
    """A regular expression that is searched and replaced within the time limit.

    Raises `StepError` from each method where a text takes longer.
    """

    def __init__(self, pattern: str, *, ignore_case: bool = False) -> None:
        self.pattern, self.ignore_case = pattern, ignore_case

    @cached_property
    def _compiled(self) -> Any:
        with loading():
            import regex
        return regex.compile(self.pattern, regex.V0 | (regex.I if self.ignore_case else 0))

    def found_in(self, text: str) -> bool:
        """Return whether the pattern matches anywhere in a text."""
        try:
            return self._compiled.search(text, timeout=SECONDS) is not None
        except TimeoutError:
            raise self._too_slow(text) from None

    def without_prefix(self, text: str) -> str:
        """Return the text without a match at its start."""
        try:
            match = self._compiled.match(text, timeout=SECONDS)
        except TimeoutError:
            raise self._too_slow(text) from None
        return text[match.end() :] if match else text

    def replace(self, by: str, text: str) -> str:
        r"""Return the text with each match replaced; `\1` and `\g<name>` in `by` are groups."""
        try:
            return str(self._compiled.sub(by, text, timeout=SECONDS))
        except TimeoutError:
            raise self._too_slow(text) from None

    def _too_slow(self, text: str) -> StepError:
        return StepError(
            f"the pattern {self.pattern!r} takes more than {SECONDS:g} s on a text of "
            f"{len(text):,} characters that begins {text[:40]!r}",
            hint="it backtracks: write it without alternatives that overlap, as in `(a|aa)+`",
        )
