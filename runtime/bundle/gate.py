"""Nothing personal leaves: secrets, folders of this machine and the user's name stop a bundle.

What is refused is never shown: the message says which file, which line and what kind of thing.
Nothing is taken out silently, because that would change the bytes that the hashes are of.
"""

from __future__ import annotations

import getpass
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from ...schema.errors import InputError

SHAPES = {
    "a token of the Hugging Face hub": rb"\b(?:hf|api_org)_[A-Za-z0-9]{30,}",
    "a token of GitHub": rb"\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{40,})",
    "a token of GitLab": rb"\bgl(?:pat|dt|rt)-[A-Za-z0-9_-]{20,}",
    "a key of AWS": rb"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    "a key of Google": rb"\bAIza[A-Za-z0-9_-]{35}",
    "a key of OpenAI or Anthropic": rb"\bsk-[A-Za-z0-9_-]{20,}",
    "a token of Slack": rb"\bxox[abeoprs]-[A-Za-z0-9-]{10,}",
    "a key of Stripe": rb"\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,}",
    "a token of PyPI": rb"\bpypi-[A-Za-z0-9_-]{50,}",
    "a token of npm": rb"\bnpm_[A-Za-z0-9]{36}",
    "a token of SendGrid": rb"\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}",
    "a token of Telegram": rb"\b[0-9]{8,10}:AA[A-Za-z0-9_-]{32,}",
    "a token of Databricks": rb"\bdapi[a-f0-9]{32}",
    "a token of DigitalOcean": rb"\bdo[opr]_v1_[a-f0-9]{64}",
    "a key of Replicate": rb"\br8_[A-Za-z0-9]{37}",
    "a key of Groq": rb"\bgsk_[A-Za-z0-9]{40,}",
    "a JSON web token": rb"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}",
    "a private key": rb"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----",
    "a password in an address": rb"\b[a-z][a-z0-9+.-]*://[^/\s:@\"']+:[^/\s@\"']+@",
    "an account in an address": rb"\bhttps?://[^/\s@\"':]+@",
    "a signed address": rb"[?&](?:X-Amz-Signature|Signature|sig|access_token|token)="
    rb"[A-Za-z0-9%_-]{16,}",
    "a password": rb"(?i)\b(?:password|passwd|secret|api[_-]?key|auth[_-]?token)\b[\"']?"
    rb"[ \t]*[=:][ \t]*[\"']?[^\s\"'{},]{8,}",
    "an authorization header": rb"(?i)\b(?:authorization|x-api-key)\b[\"']?[ \t]*:[ \t]*[\"']?"
    rb"(?:bearer |basic )?[A-Za-z0-9+/=_.-]{8,}",
}
"""Kinds of secrets by their shape."""

FOLDERS = rb"(?:/(?:home|Users|root)/|[A-Za-z]:\\+Users\\+)[^\s\"'/\\]*"
ESCAPE = re.compile(rb"\\\\|\\[nrtbf]")
SECRET_NAMES = re.compile(r"(?i)token|secret|passw|api_?key|credential|private_?key")
COMMON_NAMES = {"root", "user", "admin", "ubuntu", "runner", "nobody", "jovyan", "test", "work"}


def check(files: Iterable[tuple[str, Path]], allowed: Iterable[str] = ()) -> None:
    """Look through every byte of some files.

    `allowed` are texts that may stand there, for a name that means something else as well.

    Raises:
        InputError: names the file, the line and the kind of what must not leave.
    """
    patterns = dict(_patterns(set(allowed)))
    for name, path in files:
        # In JSON a line's end is `\\n`, whose `n` would make one word with what follows.
        raw = ESCAPE.sub(_blank, path.read_bytes())
        for kind, pattern in patterns.items():
            for found in pattern.finditer(raw):
                if found[0].decode("utf-8", "replace") in set(allowed):
                    continue
                line = raw.count(b"\n", 0, found.start()) + 1
                raise InputError(
                    f"{name}, line {line}: {kind} must not leave this machine",
                    hint="take it out of the recipe and run again: what runs is cached, so this is "
                    "quick; a word that means something else is let through with --allow WORD",
                )


def _blank(escape: re.Match[bytes]) -> bytes:
    return escape[0] if escape[0] == b"\\\\" else b"  "


def _patterns(allowed: set[str]) -> Iterator[tuple[str, re.Pattern[bytes]]]:
    for kind, shape in SHAPES.items():
        yield kind, re.compile(shape)
    yield "a folder of a person", re.compile(FOLDERS)
    for name, value in os.environ.items():
        if SECRET_NAMES.search(name) and len(value) >= 8:
            yield f"what {name} is set to", re.compile(re.escape(value.encode()))
    for what, text in _names():
        if text not in allowed:
            yield what, re.compile(rb"(?<![\w-])" + re.escape(text.encode()) + rb"(?![\w-])")


def _names() -> Iterator[tuple[str, str]]:
    """Yield what tells whose machine this is."""
    home = str(Path.home())
    if home not in ("/", "/root"):
        yield "the path of the home folder", home
    for what, folder in (("the path of the working folder", Path.cwd()),):
        if len(folder.parts) > 2:
            yield what, str(folder)
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        return
    if len(user) >= 3 and user.lower() not in COMMON_NAMES:
        yield "the name of the user", user
