"""Print a recipe as canonical lines for git's textconv.

Each line has the whole path, so that a line of a diff identifies the value and its step.
Comments, order of keys, quoting and layout are gone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...plugins.registry import Registry
from ...schema.errors import InputError
from ..language.migrate import read
from ..language.paths import below, step_names
from ..validate import validate


def canonical_text(raw: bytes, registry: Registry) -> bytes:
    """Return the canonical text of a recipe file's bytes.

    A standalone recipe is bound, so that a default written out is not a difference. One
    that extends another or names plugin files is shown as it is written: those files have diffs
    of their own, and where the bytes were taken from is not known here. Text that is not a valid
    recipe is returned unchanged.
    """
    try:
        parsed = read(raw, "recipe")
        data = parsed.data
        if parsed.faults:
            return raw
        if not {"extends", "plugins"} & data.keys():
            found = validate("recipe", Path("/"), lambda *_: (Path("/recipe"), raw), registry)
            data = found.recipe.to_json()
    except InputError:
        return raw
    return "".join(f"{line}\n" for line in _lines(data, "")).encode()


def _lines(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, dict) and value:
        for key in sorted(value, key=lambda key: (key != "use", key)):
            yield from _lines(value[key], below(path, key))
    elif _is_steps(value):
        names = step_names([item["use"] for item in value])
        yield f"{path}: {', '.join(names)}"
        for name, item in zip(names, value, strict=True):
            rest = {key: item[key] for key in item if key != "use"}
            if rest:
                yield from _lines(rest, f"{path}[{name}]")
    else:
        yield f"{path}: {json.dumps(value, ensure_ascii=False, sort_keys=True)}"


def _is_steps(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(item, dict) and isinstance(item.get("use"), str) for item in value)
    )
