"""Read a file of evaluations: a YAML list of `evaluate:` entries, as overrides of a recipe."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..schema.errors import Diagnostic, InputError, RecipeError
from ..schema.yaml_reader import Parsed, parse
from .bundled_recipes import refuse_secrets

LARGEST = 2**20
EXAMPLE = "write a list with `- {use: NAME, …}`; `recipe plugins evaluator` lists the names"


@dataclass(frozen=True)
class EvaluationFile:
    """Entries for `evaluate:`, and the file that they are written in.

    Attributes:
        path: the file; its folder is where relative paths of sources start.
        parsed: its values with their places.
        entries: the steps, in the order of the file.
        at: the place of the list in the file's values.
    """

    path: Path
    parsed: Parsed
    entries: tuple[dict[str, Any], ...]
    at: tuple[str, ...]

    def settings(self) -> dict[str, str]:
        """Return `path=value` by evaluator, as `--set` takes it.

        An entry takes the place of one of the same name, or is added.
        """
        return {
            entry["use"]: f"{_path(entry['use'])}={json.dumps(entry, ensure_ascii=False)}"
            for entry in self.entries
        }

    def located(self, error: RecipeError) -> RecipeError:
        """Return an error about the settings with the places of this file."""
        texts = {f"--set {text}": name for name, text in self.settings().items()}
        found = [
            self._placed(one, texts[one.file]) if one.file in texts else one
            for one in error.diagnostics
        ]
        return RecipeError(found)

    def _placed(self, found: Diagnostic, name: str) -> Diagnostic:
        text = self.settings()[name]
        start = len(_path(name)) + 1
        setting = parse((" " * start + text[start:]).encode(), name)
        number = next(n for n, entry in enumerate(self.entries) if entry["use"] == name)
        for key, marks in ((True, setting.keys), (False, setting.values)):
            for path, mark in marks.items():
                if path and (mark.line, mark.column) == (found.line, found.column):
                    return self._at((number, *path), key, found)
        return self._at((number,), False, found)

    def _at(self, path: tuple[str | int, ...], key: bool, found: Diagnostic) -> Diagnostic:
        whole = (*self.at, *path)
        placed = self.parsed.diagnose(whole, found.code, found.message, found.suggestion, key=key)
        return replace(placed, length=max(1, placed.length))


def _path(name: str) -> str:
    return f"evaluate[{name}]"


def is_evaluation_setting(text: str, name: str) -> bool:
    """Return whether a setting replaces the whole evaluation of this name."""
    return text.partition("=")[0].strip() == _path(name)


def read_evaluations(path: Path) -> EvaluationFile:
    """Read a list of evaluations, or a mapping with the one key `evaluate`.

    Raises:
        InputError: there is no such file.
        RecipeError: it is not such a list, with the place; or it has a secret in it.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise InputError(f"{path}: a list of evaluations of at most 1 MiB was expected")
        raw = path.read_bytes()
    except OSError as error:
        hint = "give a YAML file with a list of `evaluate:` entries"
        raise InputError(f"cannot read {path}: {error.strerror}", hint=hint) from None
    refuse_secrets(raw, str(path))
    parsed = parse(raw, str(path))
    data, at = parsed.data, tuple[str, ...]()
    if isinstance(data, dict) and list(data) == ["evaluate"]:
        data, at = data["evaluate"], ("evaluate",)
    if not isinstance(data, list) or not data:
        message = "a list of evaluations was expected"
        raise RecipeError([parsed.diagnose(at, "type", message, EXAMPLE)])
    _check_entries(parsed, at, data)
    return EvaluationFile(path.absolute(), parsed, tuple(data), at)


def _check_entries(parsed: Parsed, at: tuple[str, ...], entries: Sequence[Any]) -> None:
    seen: set[str] = set()
    for number, entry in enumerate(entries):
        place: tuple[str | int, ...] = (*at, number)
        if not isinstance(entry, dict) or not isinstance(entry.get("use"), str):
            message = "an entry names its evaluator with `use`"
            raise RecipeError([parsed.diagnose(place, "type", message, EXAMPLE)])
        if entry["use"] in seen:
            message = f"evaluator `{entry['use']}` is named twice"
            raise RecipeError([parsed.diagnose((*place, "use"), "twice", message)])
        seen.add(entry["use"])
