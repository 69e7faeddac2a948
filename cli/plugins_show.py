"""Show a plugin: parameters with types, defaults and meanings, and a valid example."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from ..compiler.yaml.writer import flow
from ..project.plugin_description import describe_plugins
from ..schema.errors import InputError
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
    documents = describe_plugins(options.names, options.kind)
    text = "\n\n".join(map(_text, documents))
    emit(options, documents[0] if len(documents) == 1 else documents, text)
    return 0


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
