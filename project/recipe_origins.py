"""Lay a bound recipe out with the file and line that each of its values comes from."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..compiler.load import Loaded
from ..compiler.yaml.writer import Line
from .bundled_recipes import shipped_folder

DEFAULT = "default"


def origins(lines: Iterable[Line], loaded: Loaded) -> list[str]:
    """Return where each line's value was written: `file:line`, `--set ...` or `default`.

    A line without a value of its own, such as of a section, has an empty origin.
    """
    found = []
    for line in lines:
        place = loaded.place(line.place) if line.path is not None else None
        found.append("" if line.path is None else _named(*place) if place else DEFAULT)
    return found


def _named(file: str, line: int) -> str:
    if file.startswith("--set "):  # an option has one line, and its text says all
        return file
    path, ships = Path(file), shipped_folder().resolve()
    return f"{path.relative_to(ships) if path.is_relative_to(ships) else path}:{line}"
