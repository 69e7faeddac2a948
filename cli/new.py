"""Create a recipe of your own: for a file of data, from a starter, or from a shipped recipe.

With `--data`, the file is looked at: its layout, rows and lengths decide about reader, template,
validation set and `sequence_len`, and a comment beside each says why.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any

from ..project.first_recipe.recipe_text import STARTERS
from ..project.new_recipe import (
    BASE,
    NewRecipe,
    new_recipe,
    recipe_for_data,
    recipe_from_starter,
)
from ..schema.errors import InputError
from .output import emit


def arguments(parser: ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("name", metavar="NAME", help="what your recipe is called")
    parser.add_argument(
        "--data", metavar="FILE", help="rows to train on: JSON lines, JSON, CSV, TSV or Parquet"
    )
    parser.add_argument(
        "--columns",
        metavar="COLUMN=FIELD,…",
        help="which fields of the file are `messages`, or `instruction`, `input` and `output`",
    )
    parser.add_argument(
        "--base",
        metavar="BASE",
        help=f"the model to train: {BASE}, a repository owner/name, or a folder (default: {BASE})",
    )
    parser.add_argument(
        "--from",
        dest="origin",
        metavar="RECIPE",
        help=f"a starter ({', '.join(STARTERS)}), or the shipped recipe to copy "
        "(default: quickstart)",
    )


def run(options: Namespace) -> int:
    """Write NAME.yaml and its schema, and for a shipped recipe the files that it needs."""
    new = _made(options)
    files = [str(new.recipe), *map(str, new.copies), str(new.schema)]
    folders = sorted({f"{copy.parts[0]}/" for copy in new.copies})
    made = ", ".join([str(new.recipe), *folders, str(new.schema)])
    document: dict[str, Any] = {"recipe": str(new.recipe), "made": files}
    lines = [f"wrote {made} from {new.origin}", f"next: recipe run {new.recipe}"]
    if new.data is not None:
        lines = [f"wrote {made}", _next(new)]
        if new.data.counts is not None:
            lines.insert(0, new.data.summary())
            document["data"] = new.data.as_json()
    emit(options, document, "\n".join(lines))
    return 0


def _made(options: Namespace) -> NewRecipe:
    starter = options.origin if options.origin in STARTERS else None
    columns = _columns(options.columns)
    if options.data:
        if options.origin and starter != "curate":
            raise InputError(
                f"`--from {options.origin}` and `--data` both say what the recipe is made of",
                hint="leave one out; only `--from curate` goes with `--data`",
            )
        return recipe_for_data(
            options.name, options.data, base=options.base, columns=columns, curate=bool(starter)
        )
    if columns:
        raise InputError("`--columns` is about the file of `--data`", hint="add `--data FILE`")
    if starter:
        return recipe_from_starter(options.name, starter, options.base)
    if options.base:
        raise InputError(
            "`--base` goes with `--data` or a starter",
            hint=f"add `--data FILE`, or `--from` with one of {', '.join(STARTERS)}",
        )
    return new_recipe(options.name, options.origin or "quickstart")


def _columns(text: str | None) -> dict[str, str] | None:
    if text is None:
        return None
    pairs = [part.partition("=") for part in text.split(",")]
    columns = {ours.strip(): theirs.strip() for ours, _, theirs in pairs}
    if len(columns) < len(pairs) or not all(all(pair) for pair in columns.items()):
        raise InputError(
            f"`--columns {text}` is not a list of column and field",
            hint="write it as `--columns instruction=question,output=answer`",
        )
    return columns


def _next(new: NewRecipe) -> str:
    assert new.data is not None
    step = f"recipe plan {new.recipe}" if new.trains else f"recipe run {new.recipe}"
    waits = new.data.counts is None
    return f"next: write {new.data.file}, then {step}" if waits else f"next: {step}"
