"""Refuse documents with secrets, folders of this machine, or the name of the user.

The message names the file, the line and the kind, never the text. Nothing is removed silently,
because that would change the bytes that were hashed.
"""

from __future__ import annotations

import getpass
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from ...schema.errors import InputError
from ...schema.secrets import FoundSecret, Look, looks, secrets_in

HOMES = (b"home", b"Users", b"root")
FOLDERS = rb"(?:/(?:" + b"|".join(HOMES) + rb")/|[A-Za-z]:\\+Users\\+)[^\s\"'/\\]*"
IN_FOLDERS = (*(b"/%b/" % name for name in HOMES), b"Users\\")
NEWLINE = b"\n"
ESCAPE = re.compile(rb"\\\\|\\[nrtbf]")
COMMON_NAMES = {"root", "user", "admin", "ubuntu", "runner", "nobody", "jovyan", "test", "work"}
HINT = (
    "take it out of the recipe and run again: what runs is cached, so this is quick; a word that "
    "means something else is let through with --allow WORD"
)


class Search:
    """Finds what must not leave this machine in the bytes of texts.

    Args:
        allowed: texts that may stand anywhere, for a name that means something else as well.
        user: whether the user's name is looked for; not in data, where it is a word like another.
    """

    def __init__(self, allowed: Iterable[str] = (), *, user: bool = True) -> None:
        self.allowed = {word.encode() for word in allowed}
        self.looks = [*looks(), Look("a folder of a person", IN_FOLDERS, FOLDERS)]
        for what, text in _names(user=user):
            raw = text.encode()
            shape = rb"(?<![\w-])" + re.escape(raw) + rb"(?![\w-])"
            self.looks.append(Look(what, (raw,), shape))

    def found_in(self, raw: bytes) -> Iterator[FoundSecret]:
        """Yield what must not leave."""
        plain = _plain(raw)
        lower = plain.lower()
        for look in self.looks:
            if any(hint in (lower if look.any_case else plain) for hint in look.hints):
                yield from self.found_by(look, plain)

    def found_by(self, look: Look, raw: bytes) -> Iterator[FoundSecret]:
        """Yield what one look finds; JSON may have escapes in it."""
        plain = _plain(raw)
        for match in look.pattern().finditer(plain):
            if match[0] not in self.allowed:
                yield FoundSecret(look.kind, *match.span())


def check(files: Iterable[tuple[str, Path]], allowed: Iterable[str] = ()) -> None:
    """Look through every byte of some documents.

    Raises:
        InputError: names the file, the line and the kind of what must not leave.
    """
    search = Search(allowed)
    for name, path in files:
        raw = path.read_bytes()
        for found in search.found_in(raw):
            raise _refused(name, raw, found)


def refuse(name: str, raw: bytes) -> None:
    """Refuse bytes with a secret in them, its kind and its line named.

    Raises:
        InputError: there is one.
    """
    for found in secrets_in(_plain(raw)):
        raise _refused(name, raw, found)


def line_of(raw: bytes, at: int) -> int:
    """Return the number of the line that a place is in."""
    return raw.count(NEWLINE, 0, at) + 1


def _refused(name: str, raw: bytes, found: FoundSecret) -> InputError:
    return InputError(
        f"{name}, line {line_of(raw, found.start)}: {found.kind} must not leave this machine",
        hint=HINT,
    )


def _plain(raw: bytes) -> bytes:
    r"""Return JSON without escapes, as long as it was: `\n` would make one word of two."""
    return ESCAPE.sub(_blank, raw) if raw.lstrip()[:1] in (b"{", b"[") else raw


def _blank(escape: re.Match[bytes]) -> bytes:
    return escape[0] if escape[0] == b"\\\\" else b"  "


def _names(*, user: bool) -> Iterator[tuple[str, str]]:
    """Yield texts that identify this machine or its user."""
    home = str(Path.home())
    if home not in ("/", "/root"):
        yield "the path of the home folder", home
    if len(Path.cwd().parts) > 2:
        yield "the path of the working folder", str(Path.cwd())
    if not user:
        return
    try:
        name = getpass.getuser()
    except (OSError, KeyError):
        return
    if len(name) >= 3 and name.lower() not in COMMON_NAMES:
        yield "the name of the user", name
