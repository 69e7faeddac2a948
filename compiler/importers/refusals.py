"""Refuse configurations of trainings that a recipe cannot be: one reason, and what else to use."""

from __future__ import annotations

from ...plugins.registry import UNDECIDED
from ...schema.errors import InputError
from .mapping import Key, Translation, key_text
from .recipe_draft import Place

RECIPE = "a recipe trains an adapter on the answers of text"
SKELETON = (
    "use {tool} for it; `--skeleton` writes a recipe of the rest, which is not valid before this "
    "is decided"
)


def refuse(t: Translation, key: Key, what: str, *undecided: Place) -> None:
    """Refuse a configuration that trains something else; of a skeleton leave that undecided.

    Args:
        t: the configuration.
        key: the key that says so; it need not be in the file.
        what: completes "it trains ...".
        undecided: places of the recipe whose plugin is then to be decided.

    Raises:
        InputError: unless a skeleton is asked for.
    """
    path = (key,) if isinstance(key, str) else key
    mark = t.parsed.keys.get(path)
    if not t.skeleton:
        said = f"it {what}" + (f" (`{key_text(path)}`)" if mark else "")
        raise InputError(
            f"{said}, and {RECIPE}",
            hint=SKELETON.format(tool=t.tool),
            file=t.report.file,
            line=mark.line if mark else None,
        )
    for place in undecided:
        t.undecided(place, f"{t.tool} {what}")
    if mark:
        t.lost(key, what.replace("trains", "train", 1), RECIPE)
    else:
        t.no_default(key_text(path), None, f"{t.tool} {what}; {RECIPE}")


def no_data(t: Translation, key: str, wanted: str) -> InputError:
    """Return the error of a configuration that names no data to train on."""
    return InputError(
        f"`{key}` is missing, {wanted} was expected",
        hint=f"a file for merging, inference or serving is not a training: give the one that "
        f"{t.tool} trains by",
        file=t.report.file,
    )


__all__ = ["UNDECIDED", "no_data", "refuse"]
