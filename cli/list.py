"""List the shipped recipes, one line each."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from ..project.bundled_recipes import shipped_recipes
from ..schema.yaml_reader import parse
from .output import columns, emit


def arguments(parser: ArgumentParser) -> None:
    """Add no argument of the command's own."""


def run(options: Namespace) -> int:
    """Print name and description of each."""
    found = []
    for path in shipped_recipes():
        data = parse(path.read_bytes(), path.name).data
        found.append({"name": path.name, "description": data.get("description") or ""})
    text = columns([(recipe["name"], recipe["description"]) for recipe in found])
    emit(options, found, f"{text}\nrun one with: recipe run NAME")
    return 0
