"""Describe a parameter's type from its JSON Schema, for editors and the reference."""

from __future__ import annotations

from typing import Any

from ..bind import MAX_INTEGER
from ..yaml.writer import flow

Json = dict[str, Any]

_NAMES = {
    "string": "text",
    "integer": "integer",
    "number": "number",
    "boolean": "true or false",
    "null": "nothing",
}


def value_words(schema: Json) -> str:
    """Return a schema's type in words; empty where it names a definition."""
    if "anyOf" in schema:
        words = [value_words(choice) for choice in schema["anyOf"]]
        return " or ".join(dict.fromkeys(word for word in words if word and word != "nothing"))
    if "const" in schema or "enum" in schema:
        values = schema.get("enum", [schema.get("const")])
        return " or ".join(f"`{flow(value)}`" for value in values if value is not None)
    kind = schema.get("type", "")
    if isinstance(kind, list):
        kind = next(name for name in kind if name != "null")
    if kind == "array":
        return _list(schema)
    if kind == "object":
        return _mapping(schema)
    return _NAMES.get(kind, "") + _bounds(schema)


def _list(schema: Json) -> str:
    if "prefixItems" in schema:
        each = dict.fromkeys(value_words(item) for item in schema["prefixItems"])
        return f"list of {len(schema['prefixItems'])}, each {' or '.join(each)}"
    item = value_words(schema.get("items", {}))
    least = ", not empty" if schema.get("minItems") else ""
    return (f"list of {item}" if item else "list of steps") + least


def _mapping(schema: Json) -> str:
    value = schema.get("additionalProperties")
    if not isinstance(value, dict):
        return ""
    least = ", not empty" if schema.get("minProperties") else ""
    return f"mapping of names to {value_words(value) or 'sections'}{least}"


def _bounds(schema: Json) -> str:
    words = []
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and low != -MAX_INTEGER:
        words.append(f"at least {flow(low)}")
    if "exclusiveMinimum" in schema:
        words.append(f"above {flow(schema['exclusiveMinimum'])}")
    if high is not None and high != MAX_INTEGER:
        words.append(f"at most {flow(high)}")
    if "exclusiveMaximum" in schema:
        words.append(f"below {flow(schema['exclusiveMaximum'])}")
    if schema.get("minLength"):
        words.append("not empty")
    return f", {' and '.join(words)}" if words else ""
