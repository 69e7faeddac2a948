"""Import another tool's configuration: a recipe, and a report on every key."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..compiler.importers import import_config
from ..compiler.importers.report import Report
from ..compiler.validate import validate
from ..plugins.registry import Registry, load_registry
from ..runtime.store.store import write_atomically
from ..schema.errors import Diagnostic, InputError, RecipeError
from ..schema.yaml_reader import parse
from .bundled_recipes import open_recipe

INFO = "dataset_info.json"
"""LLaMA-Factory's descriptions of data sets, in its `dataset_dir`."""


@dataclass(frozen=True)
class Imported:
    """A recipe made from a configuration.

    Attributes:
        text: the recipe.
        report: what became of each key.
        faults: values of the recipe that the language refuses.
    """

    text: str
    report: Report
    faults: list[Diagnostic]

    @property
    def complete(self) -> bool:
        """Whether the recipe is valid and does everything that the configuration says."""
        return self.report.complete and not self.faults


def import_file(
    file: str,
    tool: str,
    *,
    name: str | None = None,
    output: Path | None = None,
    dataset_info: str | None = None,
) -> Imported:
    """Translate a configuration to a recipe, and write it where an output is given.

    Args:
        file: the configuration, in YAML.
        tool: the tool that it is of, one of `compiler.importers.FORMATS`.
        name: the name of the recipe; left out, that of the file.
        output: a new file for the recipe.
        dataset_info: LLaMA-Factory's descriptions of data sets; left out, in its `dataset_dir`.

    Raises:
        InputError: there is no such file, it is not a configuration, or the output is there
            already.
    """
    if name and not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,59}", name):
        hint = "use lower-case letters, digits, dots and dashes"
        raise InputError(f"`{name}` cannot name a recipe", hint=hint)
    if output is not None and output.exists():
        raise InputError(f"{output} exists already", hint="choose another name for --output")
    # With a folder before it, so that a missing file is not taken for a shipped recipe.
    path, raw = open_recipe(file if "/" in file else f"./{file}", Path.cwd())
    registry = load_registry()
    info = _data_sets(dataset_info, file, path, raw) if tool == "llama-factory" else {}
    done = import_config(raw, file, tool, registry, name=name, data_sets=info)
    faults = _faults(done.text, output or path.with_suffix(".recipe.yaml"), registry)
    if output is not None:
        write_atomically(output, done.text, 0o644)
    return Imported(done.text, done.report, faults)


def _data_sets(given: str | None, name: str, path: Path, raw: bytes) -> dict[str, Any]:
    """Return LLaMA-Factory's descriptions of data sets, where there are any."""
    if given:
        file = Path(given)
    else:
        data = parse(raw, name).data
        folder = str((data.get("dataset_dir") if isinstance(data, dict) else None) or "data")
        places = [Path(folder) / INFO, path.parent / folder / INFO, path.parent / INFO]
        file = next((place for place in places if place.is_file()), Path())
        if not file.name:
            return {}
    try:
        found = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {file}: {error}") from None
    if not isinstance(found, dict):
        raise InputError(f"{file} has no descriptions of data sets by name")
    return found


def _faults(text: str, path: Path, registry: Registry) -> list[Diagnostic]:
    """Return the values of a recipe that the language refuses."""
    try:
        validate(path.name, path.parent, lambda name, folder: (path, text.encode()), registry)
    except RecipeError as error:
        return list(error.diagnostics)
    return []
