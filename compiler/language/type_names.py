"""Describe a parameter's type from its JSON Schema, for editors and the reference."""

from __future__ import annotations

import json
import re
from typing import Any

from ..bind import MAX_INTEGER

Json = dict[str, Any]

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9._/-]*( [A-Za-z0-9._/-]+)*")
_AMBIGUOUS = ("true", "false", "null")
_NAMES = {
    "string": "text",
    "integer": "integer",
    "number": "number",
    "boolean": "true or false",
    "null": "nothing",
}


def value_words(schema: Json) -> str:
    """Return what a schema takes in words; empty where it names a definition."""
    if "anyOf" in schema:
        words = [value_words(choice) for choice in schema["anyOf"]]
        return " or ".join(dict.fromkeys(word for word in words if word and word != "nothing"))
    if "const" in schema or "enum" in schema:
        values = schema.get("enum", [schema.get("const")])
        return " or ".join(f"`{yaml_text(value)}`" for value in values if value is not None)
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
        words.append(f"at least {yaml_text(low)}")
    if "exclusiveMinimum" in schema:
        words.append(f"above {yaml_text(schema['exclusiveMinimum'])}")
    if high is not None and high != MAX_INTEGER:
        words.append(f"at most {yaml_text(high)}")
    if "exclusiveMaximum" in schema:
        words.append(f"below {yaml_text(schema['exclusiveMaximum'])}")
    if schema.get("minLength"):
        words.append("not empty")
    return f", {' and '.join(words)}" if words else ""


def yaml_text(value: Any) -> str:
    """Return a JSON value as a person writes it in a recipe, on one line."""
    if isinstance(value, dict):
        items = sorted(
            value.items(), key=lambda item: item[0] != "use"
        )  # a step names itself first
        inside = ", ".join(f"{yaml_text(key)}: {yaml_text(item)}" for key, item in items)
        return "{" + inside + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(yaml_text, value)) + "]"
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _AMBIGUOUS:
        return value
    if isinstance(value, float):
        return _float(value)
    return json.dumps(value, ensure_ascii=False)


def _float(value: float) -> str:
    """Return a number that every version of YAML reads as one: `2.0e-4`, never `2e-04`."""
    if value and not 0.001 <= abs(value) < 1e16:
        texts = (f"{value:.{digits}e}" for digits in range(1, 18))
        mantissa, _, exponent = next(t for t in texts if float(t) == value).partition("e")
        return f"{mantissa}e{int(exponent)}"
    return repr(value)
