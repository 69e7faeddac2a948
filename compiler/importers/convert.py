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
from .report import Report, grouped, shortened
from .sources import training_name


@dataclass(frozen=True)
class Format:
    """A tool whose configurations are read.

    Attributes:
        tool: its name.
        letters: those of its terms.
        base: the key that names the model.
        signs: keys that no other tool has.
        translate: puts a configuration into a recipe.
    """

    tool: str
    letters: str
    base: str
    signs: frozenset[str]
    translate: Callable[[Translation], None]

    @property
    def terms(self) -> Terms:
        """The parameters that the tool has."""
        return terms_of(self.letters)


SHOWN = 7
"""Comments about keys that are not mapped on top of a recipe, of two lines each."""
FORMATS = {
    "axolotl": Format(
        "axolotl", "A", "base_model",
        frozenset({"base_model", "sequence_len", "adapter", "micro_batch_size",
                   "lora_target_linear"}),
        axolotl.translate,
    ),
    "llama-factory": Format(
        "LLaMA-Factory", "LH", "model_name_or_path",
        frozenset({"stage", "finetuning_type", "cutoff_len", "template", "lora_target", "dataset"}),
        llama_factory.translate,
    ),
    "trl": Format(
        "TRL", "RH", "model_name_or_path",
        frozenset({"dataset_name", "use_peft", "dataset_mixer", "dataset_mixture", "max_length",
                   "dataset_train_split", "lora_target_modules", "torch_dtype", "dtype"}),
        trl.translate,
    ),
}  # fmt: skip
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
    folder: str | None = None,
    skeleton: bool = False,
) -> Imported:
    """Translate a configuration into a recipe.

    Args:
        raw: The bytes of the configuration.
        file: Its name, for messages and as a fallback for the recipe's name.
        kind: One of `FORMATS`.
        registry: The installed plugins, for the order of keys.
        name: The recipe's name.
        data_sets: LLaMA-Factory's descriptions of data sets, by name.
        folder: The folder of these descriptions and of their files.
        skeleton: Whether to write what can be said of a training that a recipe cannot be.

    Raises:
        RecipeError: the file is no YAML that is read here; anchors and aliases are refused.
        InputError: the file says nothing of a model or of data, or it is of another tool, or of
            a training that a recipe cannot be.
    """
    found = FORMATS[kind]
    t = Translation(_read(raw, file, found.tool), found.tool, found.terms)
    _check_tool(t.parsed, kind)
    t.data_sets, t.folder, t.skeleton = data_sets or {}, folder, skeleton
    t.draft.set(("recipe",), 1)
    t.draft.set(("name",), "imported")
    found.translate(t)
    if name or t.draft.get(("name",)) == "imported":
        t.draft.set(("name",), name or training_name(t.draft.data, PurePath(file).stem))
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


def _check_tool(parsed: Parsed, kind: str) -> None:
    """Refuse a configuration of another tool; says which, where its keys show it."""
    if FORMATS[kind].base in parsed.data and FORMATS[kind].signs & parsed.data.keys():
        return
    hits = {name: len(known.signs & parsed.data.keys()) for name, known in FORMATS.items()}
    likely = max(hits, key=lambda name: hits[name])
    if hits[likely] > hits[kind] and FORMATS[likely].base in parsed.data:
        raise InputError(
            f"this looks like a configuration of {FORMATS[likely].tool}, not of "
            f"{FORMATS[kind].tool}",
            hint=f"`recipe import {likely} {parsed.file}`",
            file=parsed.file,
        )


def _head(report: Report) -> list[str]:
    """Return comments on top of the recipe: its origin, and the keys not mapped."""
    head = [f"From {PurePath(report.file).name}, a configuration of {report.tool}."]
    lost = [
        shortened(f"Not mapped: {name} = {shortened(flow(entry.value), 40)}: {entry.sentence}", 175)
        for name, entry in grouped(report.not_mapped)
    ]
    lost += [
        shortened(f"Not mapped: {entry.key} is left out: {entry.note}", 175)
        for entry in report.defaults
        if not entry.ours
    ]
    shown = lost if len(lost) <= SHOWN else lost[: SHOWN - 1]
    if len(shown) < len(lost):
        shown.append(f"Not mapped: {len(lost) - len(shown)} more; `recipe import` lists them.")
    return head + shown
