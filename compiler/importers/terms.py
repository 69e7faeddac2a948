"""Tables of words: keys of a tool that are inert here, and keys that have no counterpart.

An entry is `names | why` or `names | what it does | what to do`; a name may end in `*`. An empty
line parts two entries.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Facts:
    """What is known of a tool's keys; `words` are those that are translated one by one."""

    inert: dict[str, str]
    lost: dict[str, tuple[str, str]]
    words: frozenset[str]

    def why_inert(self, name: str) -> str | None:
        """Return why a key does nothing here, or None."""
        return self.inert.get(_match(name, self.inert))

    def what_is_lost(self, name: str) -> tuple[str, str] | None:
        """Return what a key would do and what to do about it, or None."""
        return self.lost.get(_match(name, self.lost))

    def known(self) -> list[str]:
        """Return every key that is known by its whole name."""
        names = [*self.words, *self.inert, *self.lost]
        return sorted(name for name in names if not name.endswith("*"))

    def knows(self, name: str) -> bool:
        """Return whether the tool has this key."""
        return bool(name in self.words or _match(name, self.inert) or _match(name, self.lost))


def read_facts(inert: str, lost: str, words: str) -> Facts:
    """Read the three tables of a tool."""
    why: dict[str, str] = {}
    gone: dict[str, tuple[str, str]] = {}
    for names, reason in _entries(inert):
        why |= dict.fromkeys(names.split(), reason)
    for names, would, todo in _entries(lost):
        gone |= dict.fromkeys(names.split(), (would, todo))
    return Facts(why, gone, frozenset(words.split()))


def _entries(table: str) -> Iterator[list[str]]:
    for entry in table.strip().split("\n\n"):
        yield [part.strip() for part in " ".join(entry.split()).split(" | ")]


def _match(name: str, table: Mapping[str, object]) -> str:
    """Return the entry of a table that a name falls under, or an empty text."""
    if name in table:
        return name
    starts = (entry for entry in table if entry.endswith("*") and name.startswith(entry[:-1]))
    return max(starts, key=len, default="")
