"""Import another tool's configuration: a recipe, and a report on every key."""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..compiler.importers import import_config
from ..compiler.importers.report import Report
from ..compiler.validate import validate
from ..plugins.registry import Registry, load_registry
from ..runtime.store.store import write_atomically
from ..schema.errors import Diagnostic, InputError, RecipeError
from ..schema.yaml_reader import MAX_BYTES, parse
from .bundled_recipes import refuse_secrets

INFO = "dataset_info.json"
"""LLaMA-Factory's descriptions of data sets, in its `dataset_dir`."""
COMMENT = re.compile(rb"(?m)^[ \t]*#[^\n]*")


@dataclass(frozen=True)
class ImportedFile:
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
    skeleton: bool = False,
) -> ImportedFile:
    """Translate a configuration to a recipe, and write it where an output is given.

    Args:
        file: the configuration, in YAML; `-` for standard input.
        tool: the tool that it is of, one of `compiler.importers.FORMATS`.
        name: the name of the recipe; left out, that of the run, or of the base and the data.
        output: a new file for the recipe.
        dataset_info: LLaMA-Factory's descriptions of data sets; left out, in its `dataset_dir`.
        skeleton: whether to write what can be said of a training that a recipe cannot be.

    Raises:
        InputError: there is no such file, it is not a configuration, or the output is there
            already.
    """
    if name and not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,59}", name):
        hint = "use lower-case letters, digits, dots and dashes"
        raise InputError(f"`{name}` cannot name a recipe", hint=hint)
    if output is not None and output.exists():
        raise InputError(f"{output} exists already", hint="choose another name for --output")
    path, raw = _read(file)
    shown = "standard input" if file == "-" else file
    registry = load_registry()
    described = _descriptions(dataset_info, shown, path, raw) if tool == "llama-factory" else None
    info = _data_sets(described) if described else {}
    folder = _folder(described, output or path) if dataset_info and described else None
    done = import_config(
        raw, shown, tool, registry, name=name, data_sets=info, folder=folder, skeleton=skeleton
    )
    refuse_secrets(done.text.encode(), shown)
    faults = _faults(done.text, output or path.with_suffix(".recipe.yaml"), registry)
    if output is not None:
        write_atomically(output, done.text, 0o644)
    return ImportedFile(done.text, done.report, faults)


def _read(file: str) -> tuple[Path, bytes]:
    """Return the path of a configuration and its bytes; the path of standard input is here.

    Raises:
        InputError: there is no such file, or it holds a secret outside its comments.
    """
    if file == "-":
        path, raw = Path.cwd() / "stdin.yaml", sys.stdin.buffer.read(MAX_BYTES + 1)
    else:
        path = Path(file)
        if path.is_dir():
            raise InputError(f"{file} is a folder", hint="`recipe import` takes it with `--output`")
        try:
            raw = path.read_bytes()
        except OSError as error:
            raise InputError(f"cannot read {file}: {error.strerror}") from None
    # Comments are not carried over, and examples have made-up keys there.
    refuse_secrets(COMMENT.sub(b"", raw), file)
    return path, raw


def _descriptions(given: str | None, name: str, path: Path, raw: bytes) -> Path | None:
    """Return the file of LLaMA-Factory's descriptions of data sets, where there is one."""
    if given:
        return Path(given)
    data = parse(raw, name).data
    folder = str((data.get("dataset_dir") if isinstance(data, dict) else None) or "data")
    places = [Path(folder) / INFO, path.parent / folder / INFO, path.parent / INFO]
    return next((place for place in places if place.is_file()), None)


def _data_sets(file: Path) -> dict[str, Any]:
    """Return LLaMA-Factory's descriptions of data sets."""
    try:
        found = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {file}: {error}") from None
    if not isinstance(found, dict):
        raise InputError(f"{file} has no descriptions of data sets by name")
    return found


def _folder(described: Path, recipe: Path) -> str:
    """Return the folder of the data sets, seen from the recipe's own."""
    return Path(os.path.relpath(described.parent, recipe.parent)).as_posix()


def _faults(text: str, path: Path, registry: Registry) -> list[Diagnostic]:
    """Return the values of a recipe that the language refuses."""
    try:
        validate(path.name, path.parent, lambda name, folder: (path, text.encode()), registry)
    except RecipeError as error:
        return list(error.diagnostics)
    return []
