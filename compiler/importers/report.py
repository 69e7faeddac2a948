"""Report on every key of another tool's configuration: nothing is dropped silently."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ...schema.yaml_reader import Mark, Path
from ..language.paths import below


@dataclass(frozen=True)
class Mapped:
    """A key that the recipe does: our paths and values, and a remark."""

    key: Path
    mark: Mark
    value: Any
    ours: dict[str, Any]
    note: str | None = None


@dataclass(frozen=True)
class Inert:
    """A key that does nothing for the result here, and why."""

    key: Path
    mark: Mark
    value: Any
    why: str


@dataclass(frozen=True)
class NotMapped:
    """A key that the recipe does not do: its effect in the tool, and a remedy."""

    key: Path
    mark: Mark
    value: Any
    would: str
    todo: str
    unknown: bool = False

    @property
    def sentence(self) -> str:
        """The effect that it would have had, and what to do."""
        return f"{self.would if self.unknown else f'it would {self.would}'}; {self.todo}"


@dataclass(frozen=True)
class Default:
    """A default of the tool that differs from ours.

    Without `ours` a recipe cannot express it.
    """

    key: str
    value: Any
    ours: dict[str, Any]
    note: str


@dataclass
class Report:
    """Every key in one of three lists, in the order of the file; beside them the defaults."""

    tool: str
    file: str
    mapped: list[Mapped] = field(default_factory=list)
    inert: list[Inert] = field(default_factory=list)
    not_mapped: list[NotMapped] = field(default_factory=list)
    defaults: list[Default] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether every key of the configuration is mapped."""
        return not self.not_mapped and all(default.ours for default in self.defaults)

    def sort(self) -> None:
        """Put each list in the order of the file."""
        for part in (self.mapped, self.inert, self.not_mapped):
            part.sort(key=lambda entry: (entry.mark.line, entry.mark.column))

    def as_json(self) -> dict[str, Any]:
        """Return the lists for scripts; lines and columns count from 1."""
        return {
            "tool": self.tool,
            "file": self.file,
            "complete": self.complete,
            "mapped": [_place(e) | {"ours": e.ours, "note": e.note} for e in self.mapped],
            "inert": [_place(e) | {"why": e.why} for e in self.inert],
            "not_mapped": [_place(e) | {"would": e.would, "todo": e.todo} for e in self.not_mapped],
            "defaults": [
                {"key": e.key, "value": e.value, "ours": e.ours, "note": e.note}
                for e in self.defaults
            ],
        }


def _place(entry: Mapped | Inert | NotMapped) -> dict[str, Any]:
    return {
        "key": key_text(entry.key),
        "line": entry.mark.line,
        "column": entry.mark.column,
        "value": entry.value,
    }


def grouped(entries: Sequence[NotMapped]) -> list[tuple[str, NotMapped]]:
    """Return what is not mapped, one entry for keys under one that are lost for one reason."""
    groups: dict[tuple[Any, str], list[NotMapped]] = {}
    for entry in entries:
        top = (
            entry.key[:2] if len(entry.key) > 1 and isinstance(entry.key[1], int) else entry.key[:1]
        )
        groups.setdefault((top, entry.sentence), []).append(entry)
    return [
        (key_text(one[0].key), one[0])
        if len(one) == 1
        else (f"{key_text(top)} ({len(one)} keys)", one[0])
        for (top, _), one in groups.items()
    ]


def shortened(text: str, length: int) -> str:
    """Return a text on one line, of at most so many characters."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1].rstrip() + "…"


def key_text(path: Path) -> str:
    """Return a path as a person writes it: `datasets[0].path`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text = below(text, part)
    return text
