"""Translate ruamel.yaml's syntax errors into readable messages."""

from __future__ import annotations

import re
from typing import Any

Explained = tuple[int, str, str | None]
"""The place in the text, the error, and the fix."""

CLOSING = {"[": "]", "{": "}"}


def explain(error: Any, text: str) -> Explained:
    """Return the place, the sentence and the remedy of a scanner's or parser's error."""
    problem = " ".join((error.problem or "").split())
    context = " ".join((error.context or "").split())
    where = error.problem_mark or error.context_mark
    at = where.index if where else 0
    opened = error.context_mark.index if error.context_mark else at
    if _tab(text, at):
        return _tab_place(text, at), "not YAML: a tab cannot indent YAML", "use spaces"
    if "quoted scalar" in context:
        quote = text[opened : opened + 1]
        return opened, f"not YAML: the {quote} that opens here is not closed", f"add a {quote}"
    if "flow" in context and text[opened : opened + 1] in CLOSING:
        return opened, *_flow(text[opened], text[at : at + 1], "," in problem)
    opened = _open_bracket(text, at)
    if context == "while parsing a flow node" and opened >= 0:
        return opened, *_flow(text[opened], text[at : at + 1], between=False)
    return at, *_block(problem, context, text[at : at + 1])


def _open_bracket(text: str, at: int) -> int:
    """Return where the nearest bracket opens that is not closed before a place, or -1."""
    depth = 0
    for place in range(min(at, len(text)) - 1, -1, -1):
        if text[place] in "]}":
            depth += 1
        elif text[place] in CLOSING:
            if depth == 0:
                return place
            depth -= 1
    return -1


def _flow(opening: str, found: str, between: bool) -> tuple[str, str]:
    """Explain a syntax error between brackets."""
    closing = CLOSING[opening]
    what = "an item" if opening == "[" else "a key"
    if between and found and found not in "]}":
        message = f"not YAML: after {what} of this `{opening}` a comma or `{closing}` was expected"
        return message, f"close it with `{closing}`, or put the comma"
    return f"not YAML: the `{opening}` that opens here is not closed", f"add a `{closing}`"


def _block(problem: str, context: str, found: str) -> tuple[str, str | None]:
    """Explain a syntax error outside brackets and quotes."""
    if "mapping values are not allowed" in problem:
        return "not YAML: a second `:` in one value", "quote the text that has it"
    if "could not find expected ':'" in problem:
        return "not YAML: a key without its `:`", "write `key: value`, or indent the text"
    if "expected <block end>" in problem:
        return (
            "not YAML: the indentation does not fit the lines above",
            "put it below the key or item that it belongs to",
        )
    if "cannot start any token" in problem:
        return f"not YAML: `{found}` cannot start a value", "quote the text"
    reason = f"{problem} {context}".strip() or "it cannot be read"
    return f"not YAML: {reason}", None


def _tab(text: str, at: int) -> bool:
    """Return whether a tab indents the line of a place or is at the place itself."""
    return text[at : at + 1] == "\t" or _tab_place(text, at) >= 0


def _tab_place(text: str, at: int) -> int:
    """Return the column of a tab in the indentation of the place's line, or -1."""
    start = max(text.rfind("\n", 0, at), text.rfind("\r", 0, at)) + 1
    indent = re.compile(r"[ \t]*").match(text, start)
    found = text.find("\t", start, indent.end() if indent else start)
    return found if found >= 0 or text[at : at + 1] != "\t" else at
