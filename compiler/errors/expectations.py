"""Describe the expected value, and suggest a correction."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from pydantic.fields import FieldInfo

from ...schema.did_you_mean import nearest
from ..yaml.writer import flow

TYPES = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "string_type": "a text",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "none_required": "null",
}
"""Expected values by the type of pydantic's error, in plain words."""

SIZES = {
    "too_short": ("a list of at least {min_length} item", "min_length"),
    "too_long": ("a list of at most {max_length} item", "max_length"),
    "string_too_short": ("a text of at least {min_length} character", "min_length"),
    "string_too_long": ("a text of at most {max_length} character", "max_length"),
}
NUMBER = re.compile(r"[-+]?[0-9][0-9_]*(\.[0-9]*)?([eE][-+]?[0-9]+)?")
WORDS_FOR_TRUTH = {"yes": "true", "on": "true", "y": "true"} | dict.fromkeys(
    ("no", "off", "n"), "false"
)


class Expected:
    """The faults of one value: one, or one for each member of a union."""

    def __init__(self, faults: Sequence[Any], value: Any, field: FieldInfo | None) -> None:
        self.faults = faults
        self.value = value
        self.field = field
        self.is_type = all(fault["type"] in TYPES for fault in faults)

    def text(self) -> str:
        """Return the expected value, to follow "must be"."""
        return " or ".join(dict.fromkeys(self._one(fault) for fault in self.faults))

    def _one(self, fault: Any) -> str:
        kind = str(fault["type"])
        context: dict[str, Any] = fault.get("ctx", {})
        if kind in TYPES:
            return TYPES[kind]
        if kind in SIZES:
            text, bound = SIZES[kind]
            return text.format(**context) + ("s" if context[bound] != 1 else "")
        if kind == "literal_error":
            choices = _choices(fault)
            if len(choices) > 1:
                return f"one of {', '.join(f'`{choice}`' for choice in choices)}"
            return f"`{choices[0]}`"
        if kind in ("greater_than", "greater_than_equal", "less_than", "less_than_equal"):
            return self._range()
        if kind == "string_pattern_mismatch":
            what = self.field.description if self.field and self.field.description else "its form"
            return f"as described ({what.rstrip('.')})"
        return str(fault["msg"]).removeprefix("Input should be ")

    def _bounds(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for fault in self.faults:
            context = fault.get("ctx", {})
            found |= {name: context[name] for name in ("gt", "ge", "lt", "le") if name in context}
        for mark in self.field.metadata if self.field else ():
            for name in ("gt", "ge", "lt", "le"):
                bound = getattr(mark, name, None)
                if bound is not None:
                    found[name] = bound
        return found

    def _range(self) -> str:
        bounds = self._bounds()
        if {"ge", "le"} <= bounds.keys():
            return f"between {bounds['ge']:,} and {bounds['le']:,}"
        words = {"gt": "more than", "ge": "at least", "lt": "less than", "le": "at most"}
        return " and ".join(f"{words[name]} {bounds[name]:,}" for name in words if name in bounds)

    def nearest_choice(self) -> str | None:
        """Return the choice that the value is a misspelling of."""
        choices = [choice for fault in self.faults for choice in _choices(fault)]
        return nearest(self.value, choices) if isinstance(self.value, str) else None

    def suggestion(self) -> str | None:
        """Return what may have been meant."""
        kinds = {fault["type"] for fault in self.faults}
        choice = self.nearest_choice()
        meant = f"`{choice}`" if choice else self._of_text(kinds) or self._of_number(kinds)
        if meant is None and kinds & {"tuple_type", "list_type"}:
            if isinstance(self.value, dict):
                return "put it into a list: `- ` before its first key, or [ ] around it"
            if isinstance(self.value, str):
                meant = f"[{flow(self.value)}]"
        if meant is None and isinstance(self.value, list) and len(self.value) == 1:
            meant = None if isinstance(self.value[0], dict | list) else flow(self.value[0])
        return f"did you mean {meant}?" if meant is not None else None

    def _of_text(self, kinds: set[str]) -> str | None:
        """Return the number or the truth value that a text spells, or the text of a number."""
        if "string_type" in kinds and isinstance(self.value, bool | int | float):
            shown = str(self.value).lower() if isinstance(self.value, bool) else self.value
            return f'"{shown}"'
        if not isinstance(self.value, str):
            return None
        text = self.value.strip()
        if "bool_type" in kinds:
            folded = text.lower()
            return folded if folded in ("true", "false") else WORDS_FOR_TRUTH.get(folded)
        if kinds & {"int_type", "float_type", "int_from_float"}:
            plain = text.replace(",", "").replace("_", "").replace(" ", "")
            if NUMBER.fullmatch(plain) and (
                "int_type" not in kinds or plain.lstrip("+-").isdigit()
            ):
                return f"{plain}, without quotes" if plain == text else plain
        return None

    def _of_number(self, kinds: set[str]) -> str | None:
        """Return the number that a slip of scale or sign makes of this one."""
        value = self.value
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        if kinds & {"int_type", "int_from_float"} and isinstance(value, float):
            return str(int(value)) if value == int(value) else None
        candidates = []
        if kinds & {"less_than", "less_than_equal"} and 1 < value <= 100:
            candidates.append(value / 100)
        if kinds & {"greater_than", "greater_than_equal"} and value < 0:
            candidates.append(-value)
        return next((f"{c:g}" for c in candidates if self._within(c)), None)

    def _within(self, number: float) -> bool:
        bounds: dict[str, float] = self._bounds()
        return (
            number > bounds.get("gt", float("-inf"))
            and number >= bounds.get("ge", float("-inf"))
            and number < bounds.get("lt", float("inf"))
            and number <= bounds.get("le", float("inf"))
        )


def _choices(fault: Any) -> list[str]:
    """Return the choices of a literal, from pydantic's own words: `'a', 'b' or 'c'`."""
    expected = str(fault.get("ctx", {}).get("expected", ""))
    quoted = re.findall(r"'([^']*)'", expected)
    return quoted or [part for part in re.split(r", | or ", expected) if part]


def short(value: Any, *, quote: bool = True) -> str:
    """Return a value as a message shows it."""
    if value is None:
        return "nothing"
    if isinstance(value, dict | list):
        return f"a {'mapping' if isinstance(value, dict) else 'list'}"
    if isinstance(value, bool):
        return str(value).lower()
    text = repr(value) if quote or not str(value).isprintable() else str(value)
    return text if len(text) <= 40 else text[:37] + "..."


def a(noun: str | None) -> str:
    """Return a noun with its article."""
    noun = noun or "plugin"
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"
