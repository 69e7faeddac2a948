"""The language as things to try: valid parameters of every plugin, recipes, and ways to write them.

Parameters are made from each plugin's JSON Schema, so a plugin that is added is tried as well.
"""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from typing import Any

from hypothesis import strategies as st
from pydantic import ValidationError

from khichdi.compiler.bind import bound_model
from khichdi.plugins.registry import Registry, load_registry
from khichdi.schema.recipe import Recipe

TEXTS = ["a", "Question Answering", "yes", "null", "1.0", "a: b", "# c", "é 是", " x ", "it's", '"']
PATTERNED = [
    "a",
    "a-b",
    "1.0",
    "owner/name",
    "https://example.org/a",
    "https://example.org/b/c",
    "train",
    "en",
    "fr",
    "f" * 64,
    "0" * 64,
    "2026-11-26",
    "2024-02-29",
    ":10",
    "20%:40%",
]

TRIES = 4000
POOL = 16


def some_value(schema: dict[str, Any], defs: dict[str, Any], rng: random.Random) -> Any:
    """Return a value by a JSON Schema as pydantic writes it, whatever other fields have to say."""
    if "$ref" in schema:
        return some_value(defs[schema["$ref"].rsplit("/", 1)[1]], defs, rng)
    for word in ("anyOf", "oneOf"):
        if word in schema:
            return some_value(rng.choice(schema[word]), defs, rng)
    if "const" in schema or "enum" in schema:
        return rng.choice(schema.get("enum", [schema.get("const")]))
    return MAKERS[schema.get("type", "string")](schema, defs, rng)


def _object(schema: dict[str, Any], defs: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    known = schema.get("properties", {})
    required = schema.get("required", [])
    chosen = [name for name in known if name in required or rng.random() < 0.4]
    made = {name: some_value(known[name], defs, rng) for name in chosen}
    more = schema.get("additionalProperties")
    if isinstance(more, dict):
        names = schema.get("propertyNames", {"type": "string"})
        for _ in range(rng.randint(0, 2)):
            made[some_value(names, defs, rng)] = some_value(more, defs, rng)
    return made


def _array(schema: dict[str, Any], defs: dict[str, Any], rng: random.Random) -> list[Any]:
    if "prefixItems" in schema:
        return [some_value(item, defs, rng) for item in schema["prefixItems"]]
    low = schema.get("minItems", 0)
    count = rng.randint(low, min(schema.get("maxItems", low + 3), low + 3))
    return [some_value(schema.get("items", {}), defs, rng) for _ in range(count)]


def _string(schema: dict[str, Any], defs: dict[str, Any], rng: random.Random) -> str:
    text = rng.choice(PATTERNED if "pattern" in schema else TEXTS)
    return text[: schema.get("maxLength", len(text))]


def _integer(schema: dict[str, Any], defs: dict[str, Any], rng: random.Random) -> int:
    low = schema.get("minimum", schema.get("exclusiveMinimum", -1) + 1)
    high = schema.get("maximum", schema.get("exclusiveMaximum", low + 1001) - 1)
    return rng.choice([rng.randint(low, high), rng.randint(low, min(high, low + 4))])


def _number(schema: dict[str, Any], defs: dict[str, Any], rng: random.Random) -> float:
    low = schema.get("minimum", schema.get("exclusiveMinimum", 0))
    high = schema.get("maximum", schema.get("exclusiveMaximum", low + 4))
    return rng.choice([low + (high - low) * rng.random(), (low + high) / 2, float(int(high))])


MAKERS: dict[str, Any] = {
    "object": _object,
    "array": _array,
    "string": _string,
    "integer": _integer,
    "number": _number,
    "boolean": lambda schema, defs, rng: rng.random() < 0.5,
    "null": lambda schema, defs, rng: None,
}


def valid(plugin: Any, params: dict[str, Any]) -> Any | None:
    """Return the parameters, validated as a recipe's are, or None."""
    try:
        return plugin.params_model.model_validate_json(json.dumps(params), strict=True)
    except ValidationError:
        return None


def pairs(plugin: Any) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Yield for each field two valid sets of parameters that differ in it alone, if there are."""
    schema = plugin.params_model.model_json_schema()
    defs = schema.get("$defs", {})
    for name, field in schema.get("properties", {}).items():
        rng = random.Random(f"{plugin.kind}/{plugin.name}/{name}")
        for _ in range(TRIES):
            one = _object(schema, defs, rng)
            one[name] = some_value(field, defs, rng)
            other = {**one, name: some_value(field, defs, rng)}
            first, second = valid(plugin, one), valid(plugin, other)
            if first and second and getattr(first, name) != getattr(second, name):
                yield name, one, other
                break


FILES = {"use": "files", "include": ["*"]}
BENCHMARKS = {"exam": {"source": FILES, "read": {"use": "jsonl"}}}


def beside(plugin: Any) -> dict[str, Any]:
    """Return what the language puts beside a plugin's parameters, as some recipe would say it."""
    source = {"a": FILES} if plugin.kind == "evaluator" else FILES  # of an evaluator, by name
    added: dict[str, Any] = dict.fromkeys(getattr(plugin, "sources", ()), source)
    return {**added, "against": ["exam"]} if getattr(plugin, "uses_benchmarks", False) else added


@cache
def pool(registry: Registry, kind: str) -> list[dict[str, Any]]:
    """Return steps of every plugin of a kind, with parameters in which each field varies."""
    steps = []
    for plugin in registry.classes(kind):
        if getattr(plugin, "uses_benchmarks", False):
            continue  # the recipes made of these have no benchmarks
        schema = plugin.params_model.model_json_schema()
        rng = random.Random(plugin.name)
        made = [params for _, *both in pairs(plugin) for params in both]
        tries = (_object(schema, schema.get("$defs", {}), rng) for _ in range(TRIES))
        made += [
            params
            for params, _ in zip(
                filter(lambda p: valid(plugin, p), tries), range(POOL), strict=False
            )
        ]
        steps += [{"use": plugin.name, **beside(plugin), **params} for params in made]
    return steps


REGISTRY = load_registry()
MODEL = bound_model(REGISTRY)


def bound(data: dict[str, Any]) -> Recipe:
    """Return the bound recipe of plain values."""
    return MODEL.model_validate_json(json.dumps(data), strict=True)


def steps(kind: str) -> st.SearchStrategy[dict[str, Any]]:
    """Draw a step of a kind."""
    return st.sampled_from(pool(REGISTRY, kind)).map(copy.deepcopy)


def _optional(**fields: st.SearchStrategy[Any]) -> dict[str, st.SearchStrategy[Any]]:
    return fields


def data_sets() -> st.SearchStrategy[dict[str, Any]]:
    """Draw a data set."""
    scored = {"score": steps("scorer")} if REGISTRY.names("scorer") else {}
    return st.fixed_dictionaries(
        {"source": steps("source"), "read": steps("reader")},
        optional=_optional(
            license=st.sampled_from(["mit", "apache-2.0", None]),
            filters=st.lists(steps("filter"), max_size=2),
            sample=steps("sampler"),
            **scored,
        ),
    )


def _train(parts: tuple[dict[str, Any], dict[str, Any]]) -> dict[str, Any]:
    return {**parts[1], **parts[0]}


def recipes() -> st.SearchStrategy[dict[str, Any]]:
    """Draw a recipe that binds, as plain values; any plugin may be in it."""
    train = st.fixed_dictionaries(
        {"template": steps("template")},
        optional=_optional(sequence_len=st.integers(8, 64), sample_packing=st.booleans()),
    )
    validation = st.none() | st.builds(lambda n: {"count": n}, st.integers(1, 9))
    validation |= st.builds(lambda x: {"fraction": x}, st.sampled_from([0.5, 0.25, 0.1]))
    return st.fixed_dictionaries(
        {
            "recipe": st.just(1),
            "model": st.fixed_dictionaries(
                {"base": steps("source"), "adapter": steps("adapter")},
                optional=_optional(
                    license=st.sampled_from(["mit", None]), quantization=steps("quantizer")
                ),
            ),
            "data": st.dictionaries(
                st.sampled_from(["a", "b-2", "c.d"]), data_sets(), min_size=1, max_size=2
            ),
            "train": st.tuples(train, steps("runtime")).map(_train),
        },
        optional=_optional(
            name=st.sampled_from(["x", "y"]),
            description=st.sampled_from(TEXTS),
            seed=st.integers(0, 99) | st.just(2**48 - 1),
            mixture=st.fixed_dictionaries(
                {},
                optional=_optional(
                    filters=st.lists(steps("filter"), max_size=2),
                    order=st.sampled_from(["shuffle", "by-source"]),
                    validation=validation,
                ),
            ),
            evaluate=st.lists(steps("evaluator"), max_size=1),
            export=st.lists(steps("exporter"), max_size=1),
            rules=st.lists(steps("rule"), max_size=1),
        ),
    )


# ---- ways to write the same -----------------------------------------------------------------


def with_defaults(written: Any, full: Any, rng: random.Random) -> Any:
    """Return the values with some of the defaults written out; `full` has all of them."""
    if isinstance(written, dict) and isinstance(full, dict):
        filled = {key: with_defaults(item, full.get(key), rng) for key, item in written.items()}
        for key, item in full.items():
            if key not in written and rng.random() < 0.3:
                filled[key] = item
        return filled
    if isinstance(written, list) and isinstance(full, list) and len(written) == len(full):
        return [with_defaults(a, b, rng) for a, b in zip(written, full, strict=True)]
    return written


class Writer:
    """Writes values as YAML, with everything left to chance that has no meaning."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def document(self, data: dict[str, Any]) -> bytes:
        """Return the bytes of a recipe file."""
        text = self.rng.choice(["", "# first\n", "---\n"]) + "".join(self.block(data, ""))
        text = text.replace("\n", self.rng.choice(["\n", "\r\n"]))
        return self.rng.choice([b"", b"\xef\xbb\xbf"]) + text.encode()

    def block(self, value: dict[str, Any], indent: str) -> Iterator[str]:
        """Yield the lines of a mapping, a key a line."""
        keys = self.rng.sample(sorted(value), len(value))
        for key in keys:
            if self.rng.random() < 0.1:
                yield self.rng.choice(["\n", f"{indent}# about {key}\n", "     # more: [x\n"])
            yield from self.entry(f"{indent}{self.scalar(key)}:", value[key], indent)

    def entry(self, head: str, value: Any, indent: str) -> Iterator[str]:
        deeper = indent + " " * self.rng.randint(1, 4)
        if not isinstance(value, dict | list) or not value or self.rng.random() < 0.3:
            yield f"{head}{' ' * self.rng.randint(1, 3)}{self.flow(value)}{self.end()}"
        elif isinstance(value, dict):
            yield head + self.end()
            yield from self.block(value, deeper)
        else:
            yield head + self.end()
            for item in value:
                yield from self.item(item, deeper)

    def item(self, item: Any, indent: str) -> Iterator[str]:
        if not isinstance(item, dict) or self.rng.random() < 0.3:
            yield f"{indent}- {self.flow(item)}{self.end()}"
            return
        first, *rest = self.block(item, indent + "  ")
        lines = [first, *rest]
        for number, line in enumerate(lines):
            # The dash stands before the first line that is neither blank nor a comment.
            if line.strip() and not line.lstrip().startswith("#"):
                lines[number] = indent + "- " + line[len(indent) + 2 :]
                break
        yield from lines

    def end(self) -> str:
        return self.rng.choice(["\n"] * 6 + ["   \n", " # why: {not}\n"])

    def flow(self, value: Any) -> str:
        space = self.rng.choice(["", " "])
        if isinstance(value, dict):
            keys = self.rng.sample(sorted(value), len(value))
            inside = [f"{self.scalar(key)}: {self.flow(value[key])}" for key in keys]
            return "{" + space + ", ".join(inside) + space + "}"
        if isinstance(value, list):
            return "[" + space + ", ".join(map(self.flow, value)) + space + "]"
        return self.scalar(value)

    def scalar(self, value: Any) -> str:
        if value is None:
            return self.rng.choice(["null", "~", "Null"])
        if isinstance(value, bool):
            return self.rng.choice(["true", "True", "TRUE"] if value else ["false", "False"])
        if isinstance(value, int):
            return self.rng.choice([str(value), hex(value), f"0o{value:o}", f"+{value}"])
        if isinstance(value, float):
            plain = format(Decimal(repr(value)), "f")
            ways = [f"{value:.17e}", plain if "." in plain else f"{plain}.00"]
            return self.rng.choice([*ways, str(int(value))] if value.is_integer() else ways)
        return self.text(value)

    def text(self, value: str) -> str:
        ways = [json.dumps(value, ensure_ascii=False)]
        if value.isprintable():  # single quotes know no escapes, and fold line breaks
            ways.append("'" + value.replace("'", "''") + "'")
        ways.append('"' + "".join(f"\\u{ord(c):04x}" for c in value) + '"')
        words = ("yes", "null", "true", "false", "no", "on", "off", "y", "n")
        if value[:1].isalpha() and value.replace("-", "").isalnum() and value not in words:
            ways += [value, value]
        return self.rng.choice(ways)
