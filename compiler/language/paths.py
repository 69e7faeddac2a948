"""Format and parse recipe paths: `train.learning_rate`, `mixture.filters[max-words].below`.

A step of a list is addressed by its plugin's name, never by its position; the second step of one
plugin is `where-2`. A key that has a dot, a bracket, a quote mark, `=` or a space in it is in
double quotes: `data."lima-1.1".license`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_QUOTED = r'"(?:[^"\\]|\\.)*"'
_PLAIN = r'[^.\[\]"=\s]+'
_SEGMENT = re.compile(rf"\[(?P<step>{_PLAIN})\]|(?P<dot>\.?)(?P<key>{_PLAIN}|{_QUOTED})")


@dataclass(frozen=True)
class PathPart:
    """One part of a path: a key of a mapping, or the name of a step in a list.

    `start` and `end` are its characters in the text it was read from.
    """

    name: str
    is_step: bool
    start: int
    end: int


class PathError(ValueError):
    """A text is not a path; `position` is where it stops being one."""

    def __init__(self, position: int) -> None:
        super().__init__(f"not a path from position {position}")
        self.position = position


def parse_path(text: str, end: str = "") -> tuple[list[PathPart], int]:
    """Return the segments of a path, and the position after it.

    The path ends at the end of the text, or at the first character `end` outside quotes.

    Raises:
        PathError: the text is not a path.
    """
    segments: list[PathPart] = []
    position = 0
    while position < len(text) and text[position] != end:
        found = _SEGMENT.match(text, position)
        first = not segments
        if found is None or (first and (found["step"] or found["dot"])):
            raise PathError(position)
        if not first and found["key"] and not found["dot"]:
            raise PathError(position)
        group = "step" if found["step"] else "key"
        name, start, stop = found[group], found.start(group), found.end(group)
        if name.startswith('"'):
            name = re.sub(r"\\(.)", r"\1", name[1:-1])
        segments.append(PathPart(name, group == "step", start, stop))
        position = found.end()
    if not segments:
        raise PathError(position)
    return segments, position


def below(path: str, key: str) -> str:
    """Return the path of a key of the mapping at `path`."""
    if not re.fullmatch(_PLAIN, key):
        escaped = key.replace("\\", "\\\\").replace('"', '\\"')
        key = f'"{escaped}"'
    return f"{path}.{key}" if path else key


def step_names(uses: Sequence[str]) -> list[str]:
    """Return the names of the steps of a list: the second and later ones of a plugin numbered.

    The name is free: a plugin that is really called `where-2` is not mistaken for a second `where`.
    """
    names: list[str] = []
    for use in uses:
        number, name = 1, use
        while name in names:
            number += 1
            name = f"{use}-{number}"
        names.append(name)
    return names
