"""Generate the JSON Schema (draft 2020-12) of the language.

A step is checked by `if`/`then` on its `use`, not by a union: whatever is wrong with a step is then
said about the plugin that it names, and an editor completes that plugin's parameters and no others.

Every definition is there twice. In a standalone recipe, every key without a default is required. In
one that `extends` another nothing is, and `null` takes away what the other one says.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from ...plugins.kinds import KINDS
from ...plugins.registry import Registry
from ...schema.yaml_reader import MAX_KEY
from ..bind import KIND_MARK, MAX_INTEGER, bound_model, step_models
from ..yaml.writer import flow
from .type_names import value_words

Json = dict[str, Any]

ID = "urn:khichdi:recipe:1"
"""The schema's `$id`: of the language's version, whatever plugins are installed."""
CHANGE = "_change"
"""Ends the name of a definition as it stands in a recipe that extends another; no plugin's name."""
OPERATIONAL = "Cannot change results: it is outside every key and hash."
EXTENDS: Json = {
    "type": "string",
    "description": "Another recipe, by its path seen from this file or by the name of one that "
    "ships. This one states only what differs; `null` takes away what the other one says.",
}
_REF = "#/$defs/"


@cache
def language_schema(registry: Registry) -> Json:
    """Return the JSON Schema of recipe files with these plugins."""
    definitions = _definitions(bound_model(registry), "recipe")
    definitions["recipe"]["properties"] = {
        "extends": EXTENDS,
        **definitions["recipe"]["properties"],
    }
    kinds: Json = {}
    for kind, models in step_models(registry).items():
        for name, model in models.items():
            definitions |= _definitions(model, f"{kind}.{name}")
            _as_branch(definitions[f"{kind}.{name}"], f"{kind} {name}")
        kinds[kind] = _kind(registry, kind, list(models), "")
        kinds[kind + CHANGE] = _kind(registry, kind, list(models), CHANGE)
    changes = {name + CHANGE: _change(body) for name, body in definitions.items()}
    every = {**definitions, **changes, **kinds}
    for body in every.values():
        _document(body, every)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": ID,
        "title": "khichdi recipe",
        "description": "A fine-tuning recipe, version 1 of the language.",
        "type": "object",
        "if": {"type": "object", "required": ["extends"]},
        "then": {"$ref": f"{_REF}recipe{CHANGE}"},
        "else": {"$ref": f"{_REF}recipe"},
        "$defs": {name: every[name] for name in sorted(every)},
    }


class _Generator(GenerateJsonSchema):
    """Pydantic's generator with the language's ways."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Leave titles out: the key itself is enough."""
        return False

    def default_schema(self, schema: Any) -> Json:
        """Write out the defaults that a function makes, too."""
        found = super().default_schema(schema)
        if "default_factory" in schema and not schema.get("default_factory_takes_data"):
            found["default"] = self.encode_default(schema["default_factory"]())
        return found

    def int_schema(self, schema: Any) -> Json:
        """Bound integers by the range of canonical JSON."""
        found = super().int_schema(schema)
        if "exclusiveMinimum" not in found:
            found.setdefault("minimum", -MAX_INTEGER)
        if "exclusiveMaximum" not in found:
            found.setdefault("maximum", MAX_INTEGER)
        return found

    def dict_schema(self, schema: Any) -> Json:
        """Allow only names of the pattern, up to the maximum length."""
        found = super().dict_schema(schema)
        for pattern, value in found.pop("patternProperties", {}).items():
            found["propertyNames"] = {"pattern": pattern, **found.get("propertyNames", {})}
            found["additionalProperties"] = value
        key = {"minLength": 1, "maxLength": MAX_KEY, "pattern": r"^[^\u0000-\u001f\u007f-\u009f]*$"}
        found["propertyNames"] = {**key, **found.get("propertyNames", {})}
        return found


def _definitions(model: type[BaseModel], name: str) -> dict[str, Json]:
    """Return a model's definition by its name, and those of the models inside it."""
    body = model.model_json_schema(schema_generator=_Generator)
    inner = body.pop("$defs", {})
    for part in (body, *inner.values()):
        part.pop("title", None)
    # What a plugin defines stays its own; the sections of a recipe keep their names.
    prefix = "" if name == "recipe" else f"{name}."
    found = {name: body, **{prefix + key: part for key, part in inner.items()}}
    return {key: _named(part, prefix) for key, part in found.items()}


def _named(value: Any, prefix: str) -> Any:
    """Return a schema that refers to kinds and to inner definitions by their full names."""
    if isinstance(value, list):
        return [_named(item, prefix) for item in value]
    if not isinstance(value, dict):
        return value
    found = {key: _named(item, prefix) for key, item in value.items()}
    if KIND_MARK in found:
        found["$ref"] = _REF + found.pop(KIND_MARK)
    elif "$ref" in found:
        found["$ref"] = _REF + prefix + found["$ref"].removeprefix(_REF)
    return found


def _as_branch(body: Json, title: str) -> None:
    """Leave `use` to the kind, which defines it once for all plugins."""
    body["title"] = title
    body["properties"]["use"] = True
    body["required"].remove("use")


def _kind(registry: Registry, kind: str, names: list[str], suffix: str) -> Json:
    """Return the definition of a step: which plugins there are, and each one's parameters.

    In a change `use` may be missing: the parameters then are of one of the plugins.
    """
    plugins = [registry.get(kind, name).plugin for name in names]
    summaries = [f"{'Deprecated. ' * bool(p.deprecated)}{p.summary()}" for p in plugins]
    use: Json = {"description": f"The {kind}.", "type": "string"}
    known: Json = {"enum": names, "markdownEnumDescriptions": summaries}
    use |= known if names else {"not": {}}
    branches = [
        {
            "if": {"type": "object", "properties": {"use": {"const": n}}, "required": ["use"]},
            "then": {"$ref": f"{_REF}{kind}.{n}{suffix}"},
        }
        for n in names
    ]
    body: Json = {"type": "object", "properties": {"use": use}}
    if not suffix:
        body["required"] = ["use"]
    else:
        body["type"] = ["object", "null"]
        if names:
            unnamed = [{"$ref": f"{_REF}{kind}.{name}{suffix}"} for name in names]
            missing = {"type": "object", "not": {"required": ["use"]}}
            branches.append({"if": missing, "then": {"anyOf": unnamed}})
    return {**body, "allOf": branches} if branches else body


# ---- what a recipe that extends another may say ---------------------------------------------


def _change(schema: Json) -> Json:
    """Return a schema as that of a change: nothing required, and `null` takes away."""
    found = {k: v for k, v in schema.items() if k not in ("required", "minProperties")}
    if "$ref" in found:
        found["$ref"] += CHANGE  # and that takes null
    elif "anyOf" in found:
        found["anyOf"] = [_change(choice) for choice in found["anyOf"]]
    elif "const" in found or "enum" in found:
        found["enum"] = [*found.pop("enum", [found.pop("const", None)]), None]
        found.pop("type", None)
    elif found.get("type", "null") != "null":
        found["type"] = [found["type"], "null"]
    if "properties" in found:
        found["properties"] = {
            key: value if key in ("use", "recipe", "extends") else _change(value)
            for key, value in found["properties"].items()
        }
    if isinstance(found.get("additionalProperties"), dict):
        found["additionalProperties"] = _change(found["additionalProperties"])
    if "items" in found:
        found["items"] = _item(found["items"])
    return found


def _item(item: Json) -> Json:
    """Return the schema of an item of a list: steps merge by name, all else is given whole."""
    kind = item.get("$ref", "").removeprefix(_REF)
    if kind not in KINDS:
        return item
    return {"$ref": f"{_REF}{kind}{CHANGE}", "type": "object", "required": ["use"]}


# ---- what editors show ----------------------------------------------------------------------


def _document(body: Json, every: dict[str, Json]) -> None:
    """Give a definition and each of its properties the markdown that editors show over it."""
    if "description" in body:
        body["markdownDescription"] = body["description"]
    for key, schema in body.get("properties", {}).items():
        if schema is True:
            continue
        if "description" not in schema:  # pydantic leaves out what the definition says, too
            schema["description"] = every[schema["$ref"].removeprefix(_REF)]["description"]
        words = [schema["description"]]
        kind = value_words(schema)
        if kind and key != "use" and "enum" not in schema:  # editors list those
            words.append(f"*{kind[0].upper()}{kind[1:]}.*")
        if "default" in schema:
            words.append(f"Default: `{flow(schema['default'])}`.")
        if schema.get("x-operational"):
            words.append(OPERATIONAL)
        schema["markdownDescription"] = "\n\n".join(words)
