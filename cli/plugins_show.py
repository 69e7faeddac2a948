"""Show a plugin: parameters with types, defaults and meanings, and a valid example."""

from __future__ import annotations

import json
from argparse import Namespace
from typing import Any

from pydantic import ValidationError

from ..compiler.bind import step_models
from ..compiler.language.json_schema import language_schema
from ..compiler.language.type_names import value_words
from ..compiler.yaml.writer import flow
from ..plugins.registry import Registered, Registry, load_registry
from ..schema.errors import InputError, RegistryError
from .output import columns, emit

PLACES = {
    "source": "source: {}",
    "reader": "read: {}",
    "filter": "filters: [{}]",
    "scorer": "score: {}",
    "sampler": "sample: {}",
    "template": "template: {}",
    "quantizer": "quantization: {}",
    "adapter": "adapter: {}",
    "runtime": "train: {}",
    "evaluator": "evaluate: [{}]",
    "exporter": "export: [{}]",
    "rule": "rules: [{}]",
}
"""Where a step of each kind stands in a recipe."""


def run(options: Namespace) -> int:
    """Print parameters and an example of each plugin that was named."""
    if not options.names:
        raise InputError("which plugin?", hint="`recipe plugins` lists them")
    registry = load_registry()
    kind = f"{options.kind}/" if options.kind else ""
    found = [registry.find(name if "/" in name else kind + name) for name in options.names]
    documents = [describe(registry, entry) for entry in found]
    text = "\n\n".join(map(_text, documents))
    emit(options, documents[0] if len(documents) == 1 else documents, text)
    return 0


def describe(registry: Registry, entry: Registered) -> dict[str, Any]:
    """Return the JSON document of a plugin."""
    plugin = entry.plugin
    body = language_schema(registry)["$defs"][f"{plugin.kind}.{plugin.name}"]
    required = body.get("required", ())
    return {
        "kind": plugin.kind,
        "name": plugin.name,
        "version": plugin.version,
        "distribution": f"{entry.distribution.name} {entry.distribution.version}",
        "summary": plugin.summary(),
        "deprecated": plugin.deprecated,
        "requires": list(plugin.requires),
        "parameters": [
            {
                "name": key,
                "takes": value_words(schema) or "a step",
                "required": key in required,
                **({"default": schema["default"]} if "default" in schema else {}),
                "operational": bool(schema.get("x-operational")),
                "description": schema["description"],
            }
            for key, schema in body["properties"].items()
            if key != "use"
        ],
        "example": _example(registry, entry),
    }


def _example(registry: Registry, entry: Registered) -> dict[str, Any]:
    plugin = entry.plugin
    step = plugin.example_step()
    model = step_models(registry)[plugin.kind][plugin.name]
    try:
        model.model_validate_json(json.dumps(step), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the parameters"
        raise RegistryError(
            f"{entry.distribution.name}: the example of {plugin.kind} `{plugin.name}` "
            f"does not validate: {place}: {first['msg']}",
            hint="its author gives one that does by the class attribute `example`",
        ) from None
    return step


def _text(document: dict[str, Any]) -> str:
    kind, name = document["kind"], document["name"]
    lines = [
        f"{kind} {name}   version {document['version']}, from {document['distribution']}",
        document["summary"],
        *([f"deprecated: {document['deprecated']}"] if document["deprecated"] else []),
        "",
    ]
    parameters = document["parameters"]
    table = columns([_row(parameter) for parameter in parameters]) or "  It takes no parameters."
    for number, line in enumerate(table.split("\n")):
        lines.append(line)
        lines += [f"      {parameter['description']}" for parameter in parameters[number:][:1]]
    if any(parameter["operational"] for parameter in parameters):
        lines += ["", "  ◦ cannot change results"]
    example = PLACES[kind].format(flow(document["example"]))
    return "\n".join([*lines, "", "in a recipe:", f"  {example}"])


def _row(parameter: dict[str, Any]) -> tuple[str, str]:
    default = "required" if parameter["required"] else ""
    if "default" in parameter:
        default = f"default {flow(parameter['default'])}"
    words = "; ".join(word for word in (parameter["takes"], default) if word)
    return parameter["name"] + " ◦" * parameter["operational"], words
