"""Load recipe text: merge `extends:`, and keep the position of each value.

How a recipe states only what differs:

- mappings merge key by key, and `null` takes a key of the parent away;
- a step (a mapping with `use`) whose `use` differs from the parent's replaces it whole;
- lists of steps merge by `use`: the parent's step of that name is changed in place (its second
  step of that name by the child's second), others are appended;
- the child's plugin files are added to the parent's, whose steps need theirs;
- any other list replaces the parent's. Nothing merges by position.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

from ..schema.decoding import Mark
from ..schema.errors import Diagnostic, InputError, RecipeError
from ..schema.yaml_reader import Located, Parsed, Path
from .language.migrate import read
from .language.paths import step_names

MAX_CHAIN = 10

Open = Callable[[str, FilePath], tuple[FilePath, bytes]]
"""Opens a recipe by the name that was written, seen from a folder: its path and its bytes.

Raises InputError when there is none."""


@dataclass
class Loaded(Located):
    """A recipe's values with all it extends, and the origin of each.

    `faults` are those that left the rest readable; `incomplete` says that parts could not be read,
    so that what seems to be missing may be there.
    """

    path: FilePath
    data: dict[str, Any]
    files: list[FilePath]
    origins: dict[Path, tuple[Parsed, Path, FilePath]] = field(default_factory=dict)
    faults: list[Diagnostic] = field(default_factory=list)
    incomplete: bool = False

    def locate(self, path: Path, *, key: bool = False) -> tuple[Parsed, Mark]:
        """Return the file that wrote a value, or the nearest above it, and its place there."""
        missing = path not in self.origins
        while path not in self.origins:
            path = path[:-1]
        parsed, local, _ = self.origins[path]
        return parsed.locate(local, key=key or missing)

    def place(self, path: Path) -> tuple[str, int] | None:
        """Return the file and line that a value was written in; None where it was not written."""
        if path not in self.origins:
            return None
        parsed, local, _ = self.origins[path]
        mark = parsed.keys.get(local) or parsed.values[local]
        return parsed.file, mark.line

    def folder(self, path: Path) -> FilePath:
        """Return the folder of the file that wrote the value at a path."""
        while path not in self.origins:
            path = path[:-1]
        return self.origins[path][2]


def load(name: str, folder: FilePath, open_recipe: Open) -> Loaded:
    """Read a recipe and everything it extends.

    Raises:
        InputError: there is no such file.
        RecipeError: a file is not YAML for a recipe, or the chain of `extends` is broken.
    """
    loaded = load_leniently(name, folder, open_recipe)
    if loaded.faults:
        raise RecipeError(loaded.faults)
    return loaded


def load_leniently(name: str, folder: FilePath, open_recipe: Open) -> Loaded:
    """Read a recipe and everything it extends, with the faults beside what could be read.

    Raises:
        InputError: there is no such file.
        RecipeError: nothing of the file could be read.
    """
    return _load(name, folder, open_recipe, ())


def _load(name: str, folder: FilePath, open_recipe: Open, chain: tuple[FilePath, ...]) -> Loaded:
    path, raw = open_recipe(name, folder)
    parsed = read(raw, _shown(path))
    loaded = Loaded(path, parsed.data, [path], _origins(parsed, path.parent))
    loaded.faults, loaded.incomplete = parsed.faults, parsed.incomplete
    if "extends" not in parsed.data:
        return loaded
    parent_name = parsed.data.pop("extends")
    fault_of_name = _extends_fault(parent_name, path, chain)
    if fault_of_name:
        return _without_parent(loaded, parsed.diagnose(("extends",), "extends", fault_of_name))
    try:
        parent = _load(parent_name, path.parent, open_recipe, (*chain, path))
    except RecipeError as error:
        return _without_parent(loaded, *error.diagnostics)
    except InputError as error:
        fault = parsed.diagnose(("extends",), "extends", error.message, error.hint)
        return _without_parent(loaded, fault)
    if parent.path in (*chain, path):
        message = f"`{parent_name}` extends this recipe in turn"
        return _without_parent(loaded, parsed.diagnose(("extends",), "extends", message))
    return _merge(parent, loaded)


def _without_parent(loaded: Loaded, *faults: Diagnostic) -> Loaded:
    """Return a recipe whose parent cannot be read, so that its own errors are still reported."""
    loaded.faults = [*loaded.faults, *faults]
    loaded.incomplete = True
    return loaded


def _extends_fault(name: Any, path: FilePath, chain: tuple[FilePath, ...]) -> str | None:
    if not isinstance(name, str):
        return "`extends` takes the name of a recipe file"
    if path in chain:
        return f"`{name}` extends this recipe in turn"
    if len(chain) >= MAX_CHAIN:
        return f"more than {MAX_CHAIN} recipes extend one another"
    return None


def _shown(path: FilePath) -> str:
    """Return a path as a person would type it: relative when it is below the working folder."""
    try:
        return str(path.relative_to(FilePath.cwd()))
    except ValueError:
        return str(path)


def _origins(parsed: Parsed, folder: FilePath) -> dict[Path, tuple[Parsed, Path, FilePath]]:
    paths = {**parsed.values, **parsed.keys}
    return {path: (parsed, path, folder) for path in paths}


def _merge(parent: Loaded, child: Loaded) -> Loaded:
    merged = Loaded(child.path, {}, [*child.files, *parent.files])
    merged.origins[()] = child.origins[()]
    merged.faults = [*child.faults, *parent.faults]
    merged.incomplete = child.incomplete or parent.incomplete
    merged.data = _merge_mappings(merged, (), (parent, parent.data, ()), (child, child.data, ()))
    return merged


Side = tuple[Loaded, Any, Path]
"""A value in one of the two trees: the tree, the value, and its path there."""


def _merge_value(out: Loaded, path: Path, parent: Side, child: Side) -> Any:
    old, new = parent[1], child[1]
    if isinstance(old, dict) and isinstance(new, dict) and not _other_step(old, new):
        out.origins[path] = child[0].origins[child[2]]
        return _merge_mappings(out, path, parent, child)
    if _steps(old) and _steps(new):
        out.origins[path] = child[0].origins[child[2]]
        return _merge_steps(out, path, parent, child)
    if path == ("plugins",) and isinstance(old, list) and isinstance(new, list):
        return _append(out, path, parent, child)
    return take(out, path, child)


def _append(out: Loaded, path: Path, parent: Side, child: Side) -> list[Any]:
    out.origins[path] = child[0].origins[child[2]]
    items = [(tree, item, (*at, n)) for tree, value, at in (parent, child)
             for n, item in enumerate(value)]  # fmt: skip
    return [take(out, (*path, number), side) for number, side in enumerate(items)]


def _other_step(old: dict[str, Any], new: dict[str, Any]) -> bool:
    return "use" in old and "use" in new and old["use"] != new["use"]


def _steps(value: Any) -> bool:
    """Return whether a value is a list of steps; other faults in them are errors for later."""
    return isinstance(value, list) and all(
        isinstance(item, dict) and isinstance(item.get("use"), str) for item in value
    )


def _merge_mappings(out: Loaded, path: Path, parent: Side, child: Side) -> dict[str, Any]:
    result = {}
    for key in [*parent[1], *(k for k in child[1] if k not in parent[1])]:
        below_parent = (parent[0], parent[1].get(key), (*parent[2], key))
        below_child = (child[0], child[1].get(key), (*child[2], key))
        if key not in child[1]:
            result[key] = take(out, (*path, key), below_parent)
        elif child[1][key] is None and key in parent[1]:
            continue
        elif key not in parent[1]:
            result[key] = take(out, (*path, key), below_child)
        else:
            result[key] = _merge_value(out, (*path, key), below_parent, below_child)
    return result


def _merge_steps(out: Loaded, path: Path, parent: Side, child: Side) -> list[Any]:
    named = zip(step_names([step["use"] for step in child[1]]), range(len(child[1])), strict=True)
    changes = dict(named)
    result: list[Any] = []
    for index, name in enumerate(step_names([step["use"] for step in parent[1]])):
        step = parent[1][index]
        old = (parent[0], step, (*parent[2], index))
        place = (*path, len(result))
        if name in changes:
            at = changes.pop(name)
            new = (child[0], child[1][at], (*child[2], at))
            result.append(_merge_value(out, place, old, new))
        else:
            result.append(take(out, place, old))
    for at in sorted(changes.values()):
        new = (child[0], child[1][at], (*child[2], at))
        result.append(take(out, (*path, len(result)), new))
    return result


def take(out: Loaded, path: Path, side: Side) -> Any:
    """Take a value whole, with the places of everything below it."""
    tree, value, local = side
    out.origins[path] = tree.origins[local]
    if isinstance(value, dict):
        for key, item in value.items():
            take(out, (*path, key), (tree, item, (*local, key)))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            take(out, (*path, index), (tree, item, (*local, index)))
    return value
