"""Print the JSON Schema (draft 2020-12) of the recipe language with the installed plugins."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from typing import Any

from ..compiler.bind import bound_model
from ..plugins.registry import load_registry


def arguments(parser: ArgumentParser) -> None:
    """Add what this command takes: nothing of its own."""


def run(options: Namespace) -> int:
    """Print the schema; it is JSON with and without `--json`."""
    print(json.dumps(language_schema(), indent=2, ensure_ascii=False))
    return 0


def language_schema() -> dict[str, Any]:
    """Return the schema of recipe files; `extends` takes the place of what is required."""
    schema = bound_model(load_registry()).model_json_schema()
    schema["properties"]["extends"] = {
        "type": "string",
        "description": "Another recipe; this one states only what differs.",
    }
    # A recipe that extends another may leave anything out; its parts are checked when merged.
    required = schema.pop("required")
    schema["if"] = {"not": {"required": ["extends"]}}
    schema["then"] = {"required": required}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
