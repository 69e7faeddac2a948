"""List the shipped recipes, one line each."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from ..schema.yaml_reader import parse
from .output import columns, emit
from .shipped import shipped_recipes


def arguments(parser: ArgumentParser) -> None:
    """Add what this command takes: nothing of its own."""


def run(options: Namespace) -> int:
    """Print name and description of each."""
    found = []
    for path in shipped_recipes():
        data = parse(path.read_bytes(), path.name).data
        found.append({"name": path.name, "description": data.get("description") or ""})
    text = columns([(recipe["name"], recipe["description"]) for recipe in found])
    emit(options, found, f"{text}\nrun one with: recipe run NAME")
    return 0
