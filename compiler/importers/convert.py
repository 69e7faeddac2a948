"""One file of another tool -> the text of a recipe, and the report on every key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from ...plugins.registry import Registry
from ...schema.errors import InputError, RecipeError
from ...schema.yaml_reader import Parsed, parse
from ..foreign_terms import Terms, terms_of
from ..yaml.writer import flow
from . import axolotl, llama_factory, trl
from .mapping import Translation
from .report import Report, key_text
from .sources import recipe_name


@dataclass(frozen=True)
class Format:
    """A tool whose configurations are read; `letters` are those of its terms."""

    tool: str
    letters: str
    translate: Callable[[Translation], None]

    @property
    def terms(self) -> Terms:
        """The parameters that the tool has."""
        return terms_of(self.letters)


FORMATS = {
    "axolotl": Format("axolotl", "A", axolotl.translate),
    "llama-factory": Format("LLaMA-Factory", "LH", llama_factory.translate),
    "trl": Format("TRL", "RH", trl.translate),
}
"""Formats by their name on the command line."""


@dataclass(frozen=True)
class Imported:
    """A recipe's text in canonical layout, and what became of every key."""

    text: str
    report: Report


def import_config(
    raw: bytes,
    file: str,
    kind: str,
    registry: Registry,
    *,
    name: str | None = None,
    data_sets: Mapping[str, Any] | None = None,
) -> Imported:
    """Translate a configuration into a recipe.

    Args:
        raw: The bytes of the configuration.
        file: Its name, for messages and as a fallback for the recipe's name.
        kind: One of `FORMATS`.
        registry: The installed plugins, for the order of keys.
        name: The recipe's name.
        data_sets: LLaMA-Factory's descriptions of data sets, by name.

    Raises:
        RecipeError: the file is not YAML that can be read; anchors and aliases are refused.
        InputError: the file has neither a model nor data.
    """
    found = FORMATS[kind]
    t = Translation(_read(raw, file, found.tool), found.tool, found.terms)
    t.data_sets = data_sets or {}
    t.draft.set(("recipe",), 1)
    t.draft.set(("name",), recipe_name(PurePath(file).stem))
    found.translate(t)
    if name:
        t.draft.set(("name",), name)
    t.finish()
    return Imported(t.draft.text(file, _head(t.report), registry), t.report)


def _read(raw: bytes, file: str, tool: str) -> Parsed:
    try:
        parsed = parse(raw, file)
    except RecipeError as error:
        if error.diagnostics[0].code == "empty":
            raise InputError(f"the file is empty, a configuration of {tool} was expected",
                             file=file) from None  # fmt: skip
        raise
    if not isinstance(parsed.data, dict):
        raise InputError(f"a configuration of {tool} is a mapping of keys, this is none", file=file)
    if {"recipe", "extends"} & parsed.data.keys():
        raise InputError("this is a recipe already", file=file, hint="`recipe validate` checks it")
    return parsed


def _head(report: Report) -> list[str]:
    """Return comments on top of the recipe: its origin, and the keys not mapped."""
    head = [f"From {PurePath(report.file).name}, a configuration of {report.tool}."]
    head += [
        f"Not mapped: {key_text(entry.key)} = {flow(entry.value)}, line {entry.mark.line}: "
        f"{entry.sentence}"
        for entry in report.not_mapped
    ]
    head += [
        f"Not mapped: {entry.key} is left out: {entry.note}"
        for entry in report.defaults
        if not entry.ours
    ]
    return head
