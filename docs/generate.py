"""Write what follows from the code: the packaged JSON Schema, and the tables of the reference.

`make docs` runs it; a test holds that it has been run. It describes the plugins that ship, and
needs no change when there are more.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from khichdi.compiler.language.json_schema import language_schema
from khichdi.compiler.language.type_names import value_words
from khichdi.compiler.yaml.writer import flow
from khichdi.plugins.builtin.runtime.qlora import bases
from khichdi.plugins.kinds import KINDS
from khichdi.plugins.registry import Registry, load_registry
from khichdi.schema.recipe import Train

ROOT = Path(__file__).resolve().parents[1]
SCHEMA = ROOT / "schema" / "recipe-1.schema.json"
REFERENCE = ROOT / "docs" / "language.md"
BASES = ROOT / "docs" / "bases.md"
TYPES = re.compile(r"(<!-- bases -->\n).*?(<!-- end -->)", re.DOTALL)
BLOCK = re.compile(r"(<!-- (section|plugins) (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
"""In the reference, what stands between such comments is written here."""


def main() -> None:
    """Write all files."""
    registry = shipped_registry()
    SCHEMA.write_text(schema_file(registry), encoding="utf-8")
    text = REFERENCE.read_text(encoding="utf-8")
    REFERENCE.write_text(reference(text, registry), encoding="utf-8")
    BASES.write_text(base_types(BASES.read_text(encoding="utf-8")), encoding="utf-8")


def shipped_registry() -> Registry:
    """Return the plugins that ship, whatever else is installed."""
    before = os.environ.get("KHICHDI_PLUGINS")
    os.environ["KHICHDI_PLUGINS"] = "none"
    try:
        return load_registry()
    finally:
        if before is None:
            del os.environ["KHICHDI_PLUGINS"]
        else:
            os.environ["KHICHDI_PLUGINS"] = before


def schema_file(registry: Registry) -> str:
    """Return the text of the packaged schema."""
    return json.dumps(language_schema(registry), indent=1, ensure_ascii=False) + "\n"


def reference(text: str, registry: Registry) -> str:
    """Return the reference with its tables written anew."""
    definitions = language_schema(registry)["$defs"]

    def block(found: re.Match[str]) -> str:
        start, what, name, end = found.groups()
        if what == "section":
            body = _train(definitions) if name == "train" else definitions[name]
            return f"{start}\n{_table(body)}\n{end}"
        parts = [_plugin(registry, name, plugin, definitions) for plugin in registry.names(name)]
        return f"{start}\n" + ("\n".join(parts) or f"No {name} ships.\n") + f"\n{end}"

    return BLOCK.sub(block, text)


def base_types(text: str) -> str:
    """Return the page about bases with its lists of model types written again."""
    lists = {
        "Packed": bases.PACKED,
        "Unpacked": bases.UNPACKED,
        "Unpacked with `is_decoder: true` (`xlm`: `causal: true`), else refused": bases.DECODES_IF,
        "Refused with `quantization: {use: bitsandbytes}`": bases.NOT_QUANTIZED,
        "Refused with `gradient_checkpointing: true`": bases.NOT_RECOMPUTED,
    }
    parts = [
        f"**{words}** ({len(types)}): {', '.join(f'`{name}`' for name in sorted(types))}.\n"
        for words, types in lists.items()
    ]
    rows = [f"| `{name}` | {why} |" for name, why in sorted(bases.REFUSED.items())]
    table = "\n".join(["| refused | why |", "| --- | --- |", *rows])
    return TYPES.sub(
        lambda found: f"{found[1]}\n" + "\n".join([*parts, table]) + f"\n\n{found[2]}", text
    )


def _plugin(registry: Registry, kind: str, name: str, definitions: dict[str, Any]) -> str:
    plugin: Any = registry.get(kind, name).plugin
    body = definitions[f"{kind}.{name}"]
    # What the language adds to every runtime stands in the table of its section.
    own = {
        key: value
        for key, value in body["properties"].items()
        if key not in (Train.model_fields if kind == "runtime" else ("use",))
    }
    table = _table({**body, "properties": own}) if own else "It takes no parameters.\n"
    return f"#### {kind} `{name}`\n\n{plugin.summary()}\n\n{table}"


def _train(definitions: dict[str, Any]) -> dict[str, Any]:
    """Return what every runtime takes, from any one of them."""
    body = next(part for name, part in definitions.items() if re.match(r"runtime\.[a-z-]+$", name))
    own = {key: body["properties"][key] for key in Train.model_fields if key != "use"}
    return {**body, "properties": {"use": definitions["runtime"]["properties"]["use"], **own}}


def _table(body: dict[str, Any]) -> str:
    lines = ["| key | takes | default | meaning |", "| --- | --- | --- | --- |"]
    for key, schema in body["properties"].items():
        required = key in body.get("required", ())
        default = f"`{flow(schema['default'])}`" if "default" in schema else ""
        takes = value_words(schema) or _below(schema)
        mark = " ◦" if schema.get("x-operational") else ""
        cells = [
            f"`{key}`{mark}",
            takes,
            "required" if required else default,
            schema["description"],
        ]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _below(schema: dict[str, Any]) -> str:
    """Return what a key that holds more keys is: a section, or a step of some kind."""
    found = re.search(r"#/\$defs/(\w+)", json.dumps(schema))
    name = found[1] if found else ""
    article = "an" if name[:1] in "aeiou" else "a"
    return f"step: {article} {name}" if name in KINDS else "section"


if __name__ == "__main__":
    main()
