"""Values that a JSON Schema of ours allows, and mutations of them, drawn by hypothesis."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from hypothesis import strategies as st

Draw = Callable[[st.SearchStrategy[Any]], Any]
Path = tuple[str | int, ...]

TEXT = st.text("abz019 .-_/*[(\\\"'#:é漢😀\n", max_size=8)
ODD = (
    None, True, False, 0, -1, 1, 4, 8, 1.0, 4.0, 0.5, -0.0, 1e20, 1e-9, 2**48, 2**53 - 1, 2**53,
    10**30, -(10**30), 1e300, "", "x", "1", "4", "true", "none", "all-linear", "eval_loss", [], {},
    [None], [[1]], ["a"], [1], {"a": "b"}, {"input": "q"}, {"use": "zz"}, {"use": None}, {"use": 1},
    {"use": ["lora"]}, {"use": "all"}, {"count": 1}, {"count": 1.0, "fraction": None}, {"lima": {}},
)  # fmt: skip
"""Values to stand where another belongs: what validators are known to differ about."""


def value(draw: Draw, schema: Any, definitions: dict[str, Any]) -> Any:
    """Draw a value that a schema allows."""
    if "$ref" in schema:
        return value(draw, definitions[schema["$ref"].removeprefix("#/$defs/")], definitions)
    if "anyOf" in schema:
        return value(draw, draw(st.sampled_from(schema["anyOf"])), definitions)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return draw(st.sampled_from(schema["enum"]))
    if "allOf" in schema:
        return _step(draw, schema, definitions)
    kind = schema["type"]
    if isinstance(kind, list):
        return value(draw, {**schema, "type": draw(st.sampled_from(kind))}, definitions)
    return _OF_TYPE[kind](draw, schema, definitions)


def mutated(draw: Draw, data: Any, keys: list[str]) -> Any:
    """Draw a copy of a value with one place changed, removed, or given a key too many."""
    data = copy.deepcopy(data)
    paths = list(_paths(data))
    path = draw(st.sampled_from(paths))
    owner = data
    for part in path[:-1]:
        owner = owner[part]
    here = owner[path[-1]]
    deed = draw(st.sampled_from(["replace", "replace", "number", "remove", "add", "twice"]))
    if deed == "number" and type(here) in (int, float):
        changes: tuple[Any, ...] = (float(here), here + 0.5, -here, str(here), here * 2**60)
        owner[path[-1]] = draw(st.sampled_from(changes))
    elif deed == "remove":
        del owner[path[-1]]
    elif deed == "add" and isinstance(here, dict):
        here[draw(st.sampled_from([*keys, "zz", ""]))] = draw(st.sampled_from(ODD))
    elif deed == "twice" and isinstance(owner, list):
        owner.append(here)
    else:
        owner[path[-1]] = draw(st.sampled_from(ODD))
    return data


def _paths(data: Any, path: Path = ()) -> Iterator[Path]:
    items = data.items() if isinstance(data, dict) else enumerate(data)
    for key, item in items:
        yield (*path, key)
        if isinstance(item, dict | list):
            yield from _paths(item, (*path, key))


def _step(draw: Draw, schema: Any, definitions: dict[str, Any]) -> Any:
    if "null" in schema["type"] and draw(st.booleans()):
        return None
    named = {
        branch["if"]["properties"]["use"]["const"]: branch["then"]
        for branch in schema["allOf"]
        if "properties" in branch["if"]
    }
    name = draw(st.sampled_from(sorted(named)))
    found = value(draw, {**_body(named[name], definitions), "type": "object"}, definitions)
    return {"use": name, **found} if "required" in schema or draw(st.booleans()) else found


def _body(schema: Any, definitions: dict[str, Any]) -> Any:
    return definitions[schema["$ref"].removeprefix("#/$defs/")]


def _object(draw: Draw, schema: Any, definitions: dict[str, Any]) -> Any:
    if "properties" not in schema:
        names = schema.get("propertyNames", {"type": "string"})
        names = {"type": "string", **names}
        count = draw(st.integers(schema.get("minProperties", 0), 2))
        inner = schema["additionalProperties"]
        keys = [value(draw, names, definitions) for _ in range(count)]
        return {key: value(draw, inner, definitions) for key in keys}
    required = schema.get("required", [])
    return {
        key: value(draw, inner, definitions)
        for key, inner in schema["properties"].items()
        if key not in ("use", "extends")
        and (key in required or (_possible(inner, definitions) and draw(st.integers(0, 2)) == 0))
    }


def _possible(schema: Any, definitions: dict[str, Any]) -> bool:
    """Return whether values can be drawn: a kind without plugins has none."""
    for name in re.findall(r"#/\$defs/([\w.-]+)", str(schema)):
        use = definitions[name].get("properties", {}).get("use")
        if isinstance(use, dict) and "not" in use:
            return False
    return True


def _list(draw: Draw, schema: Any, definitions: dict[str, Any]) -> Any:
    if "prefixItems" in schema:
        return [value(draw, item, definitions) for item in schema["prefixItems"]]
    low = schema.get("minItems", 0)
    count = draw(st.integers(low, min(schema.get("maxItems", low + 2), low + 2)))
    return [value(draw, schema["items"], definitions) for _ in range(count)]


def _text(draw: Draw, schema: Any, _: Any) -> Any:
    bounds = schema.get("minLength", 0), schema.get("maxLength", 1000)
    return draw(_texts(schema.get("pattern"), *bounds))


@cache
def _texts(pattern: str | None, low: int, high: int) -> st.SearchStrategy[str]:
    strategy = TEXT
    if pattern is not None:
        strategy = st.from_regex(pattern.removesuffix("$") + r"\Z", alphabet="abc019-./:@htpsy_")
    return strategy.filter(lambda text: low <= len(text) <= high)


def _integer(draw: Draw, schema: Any, _: Any) -> Any:
    low = schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1)
    high = schema.get("maximum", schema.get("exclusiveMaximum", 0) - 1)
    number = draw(st.integers(low, min(high, max(low, 0) + 1000)))
    return draw(st.sampled_from([number, float(number)]))


def _number(draw: Draw, schema: Any, _: Any) -> Any:
    low = schema.get("minimum", schema.get("exclusiveMinimum", -10.0))
    high = schema.get("maximum", schema.get("exclusiveMaximum", low + 10.0))
    return draw(
        st.floats(
            low,
            high,
            exclude_min="exclusiveMinimum" in schema,
            exclude_max="exclusiveMaximum" in schema,
            allow_subnormal=False,
        )
    )


_OF_TYPE: dict[str, Callable[[Draw, Any, Any], Any]] = {
    "object": _object,
    "array": _list,
    "string": _text,
    "integer": _integer,
    "number": _number,
    "boolean": lambda draw, *_: draw(st.booleans()),
    "null": lambda *_: None,
}
