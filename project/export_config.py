"""Export a recipe as another tool's configuration, with a report on every value."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..compiler.config_exporters import Exported, export_config
from ..compiler.validate import validate
from ..plugins.registry import load_registry
from ..runtime.store.store import write_atomically
from ..schema.errors import InputError
from .bundled_recipes import open_recipe, refuse_secrets


def export_recipe(
    recipe: str, tool: str, *, output: Path | None = None, settings: Sequence[str] = ()
) -> Exported:
    """Translate a recipe, and write the configuration where an output is given.

    Args:
        recipe: a file, or the name of a shipped recipe.
        tool: one of `compiler.config_exporters.EXPORTERS`.
        output: a new file for the configuration.
        settings: overrides of the recipe's values.

    Raises:
        InputError: the recipe is not valid, or the output is there already.
    """
    refuse_secrets("\n".join(settings).encode(errors="replace"), "--set")
    if output is not None and output.exists():
        raise InputError(f"{output} exists already", hint="choose another name for --output")
    bound = validate(recipe, Path.cwd(), open_recipe, load_registry(), settings).recipe
    if bound.data_only:
        raise InputError(f"{recipe} ends with its data: there is no training to export")
    done = export_config(bound.to_json(), tool)
    if output is not None:
        write_atomically(output, done.text, 0o644)
    return done
