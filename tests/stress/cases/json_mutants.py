"""Mutants of JSON values by type: change, delete, add, duplicate, swap with another run's."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Place = tuple[str | int, ...]
KINDS = ("change", "delete", "add", "duplicate", "swap")
TWICE = "@twice"
"""Marks a key that stands for the one before it, given a second time."""


@dataclass(frozen=True)
class Mutant:
    """One forgery.

    Attributes:
        family: what is attacked, such as `document`; decides who applies it.
        kind: one of `KINDS`.
        depth: what the forger makes fit: `alone` nothing but the seal, `followed` all that can.
        target: the document, artifact or file.
        place: where in it.
    """

    family: str
    kind: str
    depth: str
    target: str
    place: Place = ()

    @property
    def where(self) -> str:
        """Return the place in words."""
        return f"{self.target} {'.'.join(map(str, self.place))}".rstrip()

    def __str__(self) -> str:
        return f"{self.family}, {self.kind} {self.where} ({self.depth})"


def mutants_of(family: str, depth: str, target: str, value: Any, *skip: str) -> Iterator[Mutant]:
    """Yield every mutant of a JSON value, except below the keys to skip."""
    for place in places(value):
        if place and place[0] in skip:
            continue
        found = _get(value, place)
        for kind in KINDS if place else ("add",):
            if kind != "add" or isinstance(found, dict | list):
                yield Mutant(family, kind, depth, target, place)


def places(value: Any, place: Place = ()) -> Iterator[Place]:
    """Yield the place of every value in a JSON value, its own first."""
    yield place
    if isinstance(value, dict | list):
        for name, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(item, (*place, name))


def mutate(value: Any, other: Any, kind: str, place: Place) -> bool:
    """Apply a mutation to a JSON value in place; return whether anything changed.

    A key given twice cannot be in a parsed value: it is marked, and `text_of` writes it.
    """
    before = json.dumps(value)
    if kind == "add":
        _add(_get(value, place), _get(other, place))
        return json.dumps(value) != before
    parent, last = _get(value, place[:-1]), place[-1]
    another = _get(_get(other, place[:-1]), (last,))
    if kind == "delete":
        del parent[last]
    elif kind == "duplicate" and isinstance(parent, list):
        parent.insert(int(last), copy.deepcopy(parent[int(last)]))
    elif kind == "duplicate":
        parent[f"{last}{TWICE}"] = another_value(parent[last])
    elif kind == "swap" and another is not None:
        parent[last] = copy.deepcopy(another)
    elif kind == "change":
        parent[last] = another_value(parent[last])
    return json.dumps(value) != before


def _add(parent: Any, other: Any) -> None:
    if isinstance(parent, dict):
        parent["extra"] = copy.deepcopy(next(iter(parent.values()), 1))
    elif isinstance(parent, list):
        source = [*(other if isinstance(other, list) else ()), *parent]
        new = [one for one in source if one not in parent]
        parent.append(copy.deepcopy(new[0]) if new else "extra")


def text_of(text: str) -> str:
    """Return JSON text in which marked keys are given twice."""
    return text.replace(f'{TWICE}"', '"')


def another_value(value: Any) -> Any:
    """Return another value of the same type; another digest for a digest."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, str):
        if re.fullmatch(r"(sha256:)?[0-9a-f]{64}", value):
            return value[:-1] + ("0" if value[-1] != "0" else "1")
        return f"{value}x"
    if isinstance(value, list):
        return value[::-1] if value[::-1] != value else [*value, *value]
    return {} if value else "x"


def _get(value: Any, place: Place) -> Any:
    for part in place:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return None
    return value
