"""Refuse to bundle secrets, folders of this machine, and the name of the user.

The message names the file, the line and the kind, never the text. Nothing is removed silently,
because that would change the bytes that were hashed.
"""

from __future__ import annotations

import getpass
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from ...schema.errors import InputError
from ...schema.secrets import secrets_in

FOLDERS = rb"(?:/(?:home|Users|root)/|[A-Za-z]:\\+Users\\+)[^\s\"'/\\]*"
NEWLINE = b"\n"
ESCAPE = re.compile(rb"\\\\|\\[nrtbf]")
COMMON_NAMES = {"root", "user", "admin", "ubuntu", "runner", "nobody", "jovyan", "test", "work"}


def check(files: Iterable[tuple[str, Path]], allowed: Iterable[str] = ()) -> None:
    """Look through every byte of some files.

    `allowed` are texts that may stand there, for a name that means something else as well.

    Raises:
        InputError: names the file, the line and the kind of what must not leave.
    """
    words = set(allowed)
    patterns = dict(_patterns(words))
    for name, path in files:
        raw = path.read_bytes()
        refuse(name, raw, words)
        for kind, pattern in patterns.items():
            for found in pattern.finditer(_plain(raw)):
                if found[0].decode("utf-8", "replace") not in words:
                    raise _refused(name, raw, kind, found.start())


def refuse(name: str, raw: bytes, allowed: Iterable[str] = ()) -> None:
    """Refuse bytes with a secret in them, its kind and its line named.

    Raises:
        InputError: there is one.
    """
    plain, words = _plain(raw), set(allowed)
    for found in secrets_in(plain):
        if plain[found.start : found.end].decode("utf-8", "replace") not in words:
            raise _refused(name, raw, found.kind, found.start)


def _refused(name: str, raw: bytes, kind: str, at: int) -> InputError:
    return InputError(
        f"{name}, line {raw.count(NEWLINE, 0, at) + 1}: {kind} must not leave this machine",
        hint="take it out of the recipe and run again: what runs is cached, so this is "
        "quick; a word that means something else is let through with --allow WORD",
    )


def _plain(raw: bytes) -> bytes:
    r"""Return JSON without escapes: a line's end is `\n`, whose `n` would make one word."""
    return ESCAPE.sub(_blank, raw)


def _blank(escape: re.Match[bytes]) -> bytes:
    return escape[0] if escape[0] == b"\\\\" else b"  "


def _patterns(allowed: set[str]) -> Iterator[tuple[str, re.Pattern[bytes]]]:
    yield "a folder of a person", re.compile(FOLDERS)
    for what, text in _names():
        if text not in allowed:
            yield what, re.compile(rb"(?<![\w-])" + re.escape(text.encode()) + rb"(?![\w-])")


def _names() -> Iterator[tuple[str, str]]:
    """Yield texts that identify this machine or its user."""
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
