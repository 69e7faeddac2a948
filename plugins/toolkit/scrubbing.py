"""Remove logins, query strings and known tokens from texts that are shown."""

from __future__ import annotations

import re

_URL = re.compile(
    r"([a-z][a-z0-9+.-]*://)(?:[^\s/'\"]*@)?([^\s?'\"]*)(?:\?[^\s'\"]*)?", re.IGNORECASE
)
_TOKEN = re.compile(r"\b(hf_|ghp_|github_pat_|glpat-|pypi-)[A-Za-z0-9_-]{8,}")


def scrub(text: str) -> str:
    """Return a text without logins and queries of URLs, and without known kinds of tokens."""
    return _TOKEN.sub(r"\1***", _URL.sub(r"\1\2", text))


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text, scrubbed, or its type where it has no text."""
    lines = str(error).strip().splitlines()
    return scrub(lines[0]) if lines else type(error).__name__
