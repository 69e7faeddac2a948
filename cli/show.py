"""Show the bound recipe: every default written out, `extends` merged in.

With `--origin`, each value has its file and line.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any

from ..compiler.language.paths import PathError, parse_path
from ..compiler.load import Loaded
from ..compiler.yaml.writer import Line, find, layout
from ..project.recipe_origins import origins
from ..schema.did_you_mean import nearest
from ..schema.errors import InputError
from .arguments import recipe_argument
from .output import emit
from .session import open_session

COLUMN = 60
"""Where comments stand; after a longer line, two spaces follow."""


def arguments(parser: ArgumentParser) -> None:
    """Add the command's arguments."""
    recipe_argument(parser)
    parser.add_argument(
        "section", nargs="?", metavar="PATH", help="only this part, such as train or data.lima"
    )
    parser.add_argument(
        "--origin", action="store_true", help="print the file and line that each value comes from"
    )


def run(options: Namespace) -> int:
    """Print the recipe as YAML, or as JSON."""
    compiled = open_session(options).compiled
    document: Any = compiled.recipe.to_json()
    start: tuple[str | int, ...] = ()
    if options.section is not None:
        start = _place(document, options.section)
    lines = [line for line in layout(document) if line.place[: len(start)] == start]
    for part in start:
        document = document[part]
    if options.origin:
        document = {"recipe": document, "origins": _origins(lines, compiled.loaded)}
    emit(options, document, _text(lines, compiled.loaded if options.origin else None))
    return 0


def _place(document: Any, text: str) -> tuple[str | int, ...]:
    """Return the place of a path in the recipe's document.

    Raises:
        InputError: nothing is there; names the nearest part.
    """
    try:
        segments, _ = parse_path(text)
    except PathError:
        hint = "a path reads as `recipe diff` prints it: train, data.lima.filters[NAME]"
        raise InputError(f"`{text}` is not a path of a recipe", hint=hint) from None
    place, known = find(document, segments)
    if place is None:
        near = next(filter(None, (nearest(s.name, known) for s in segments)), None)
        hint = f"did you mean `{near}`?" if near else f"there are: {', '.join(known)}"
        raise InputError(f"the recipe has no `{text}`", hint=hint)
    return place


def _origins(lines: list[Line], loaded: Loaded) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for line in lines:
        if line.path is not None:
            file, number = loaded.place(line.place) or (None, None)
            found[line.path] = {"file": file, "line": number, "default": file is None}
    return found


def _text(lines: list[Line], loaded: Loaded | None) -> str:
    indent = len(lines[0].text) - len(lines[0].text.lstrip()) if lines else 0
    texts = [line.text[indent:] for line in lines]
    if loaded is None:
        return "\n".join(texts)
    width = max((len(text) for text in texts if len(text) <= COLUMN), default=0)
    pairs = zip(texts, origins(lines, loaded), strict=True)
    return "\n".join(
        f"{text.ljust(width)}  # {origin}" if origin else text for text, origin in pairs
    )
