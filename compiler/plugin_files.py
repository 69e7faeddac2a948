"""Adds the plugin files that a recipe names to the registry that it is checked against."""

from __future__ import annotations

import os
from pathlib import Path as FilePath

from ..plugins.plugin_files import PluginFile
from ..plugins.registry import Registry
from ..schema.errors import Diagnostic, InputError, RecipeError, RegistryError
from .load import Loaded, Open

KEY = "plugins"


def with_plugin_files(loaded: Loaded, registry: Registry, open_file: Open) -> Registry:
    """Return a registry with the plugins of a recipe's files too; each file is run for it.

    The files join those that the recipe is made of, for a run to keep.

    Raises:
        RecipeError: a file cannot be had, cannot be run or has no fitting plugin; each with the
            place that names it. Without its plugins the rest of the recipe cannot be checked.
    """
    named = loaded.data.get(KEY)
    faults: list[Diagnostic] = []
    for number, name in enumerate(named) if isinstance(named, list) else ():
        place = (KEY, number)
        try:
            file = _open(name, loaded, loaded.folder(place), open_file)
            registry = registry.with_file(file)
        except RecipeError as error:
            faults += error.diagnostics
        except InputError as error:
            code = "plugin" if isinstance(error, RegistryError) else "input"
            faults.append(loaded.diagnose(place, code, error.message, error.hint))
        else:
            if file.path not in loaded.files:
                loaded.files.append(file.path)
    if faults:
        raise RecipeError([*loaded.faults, *faults])
    return registry


def _open(name: object, loaded: Loaded, folder: FilePath, open_file: Open) -> PluginFile:
    """Read a plugin file, which lies in the folder of the recipe file that names it, or below."""
    if not isinstance(name, str) or not name.endswith(".py"):
        raise InputError(f"{name!r} is not the path of a Python file", hint=_HINT)
    written = FilePath(name)
    if written.is_absolute() or ".." in written.parts:
        raise InputError(f"`{name}` leaves the folder of the recipe", hint=_HINT)
    path, content = open_file(f"./{written.as_posix()}", folder)
    if not path.is_relative_to(folder):
        raise InputError(f"`{name}` is a link that leaves the folder of the recipe", hint=_HINT)
    seen = FilePath(os.path.relpath(path, loaded.path.parent)).as_posix()
    return PluginFile(seen, path, content)


_HINT = "name a file beside the recipe or below it, as in `plugins: [./my_filters.py]`"
