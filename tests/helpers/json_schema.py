"""Validators of JSON Schema; jsonschema is imported where one is made, for that takes a second."""

from __future__ import annotations

import re
from functools import cache
from typing import Any


def validator(schema: Any) -> Any:
    """Return a validator of a schema."""
    return _ecma()(schema)


@cache
def _ecma() -> Any:
    """Return the class of validators, with a `$` that is the end alone, as it is in ECMA-262."""
    import jsonschema

    def pattern(_: Any, expression: str, instance: Any, schema: Any) -> Any:
        expression = re.sub(r"\$$", r"\\Z", expression)
        if isinstance(instance, str) and not re.search(expression, instance):
            yield jsonschema.ValidationError(f"{instance!r} does not match {expression}")

    base = jsonschema.Draft202012Validator
    return jsonschema.validators.extend(base, {"pattern": pattern})
