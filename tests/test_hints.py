"""No hint can mislead: every path, command, option and page that the product names is there."""

from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from keyword import iskeyword
from pathlib import Path
from typing import Any

import pytest
from json_schema import validator

from khichdi.cli.main import COMMANDS, Parser
from khichdi.compiler.foreign_terms import TOOLS, Term, terms_of
from khichdi.compiler.language.json_schema import language_schema
from khichdi.plugins.registry import load_registry
from khichdi.schema.yaml_reader import parse

ROOT = Path(__file__).parent.parent
PRODUCT = ("schema", "compiler", "runtime", "plugins", "project", "cli", "recipes")
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
REGISTRY = load_registry()
SCHEMA = language_schema(REGISTRY)
LETTERS = "".join(TOOLS)
TERMS = list(dict.fromkeys(terms_of(LETTERS).all))
SHARED = {"--json", "--store", "-v", "--verbose", "-q", "--quiet", "-h", "--help"}
"""Options that every command takes."""


# ---- paths of the language ------------------------------------------------------------------


def schemas_at(path: list[str], schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what the language has at a path: a key of a section, or of any plugin of a kind."""
    definitions = SCHEMA["$defs"]
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/$defs/")
        plugins = [
            part for key, part in definitions.items() if re.fullmatch(f"{name}.[a-z0-9-]+", key)
        ]
        for part in [definitions[name], *plugins]:
            yield from schemas_at(path, part) if path or part is not definitions[name] else [schema]
        return
    if not path:
        yield schema
        return
    for choice in schema.get("anyOf", ()):
        yield from schemas_at(path, choice)
    if path[0] == "NAME" and isinstance(schema.get("additionalProperties"), dict):
        yield from schemas_at(path[1:], schema["additionalProperties"])
    inner = schema.get("properties", {}).get(path[0])
    if isinstance(inner, dict):
        yield from schemas_at(path[1:], inner)


def takes(schema: dict[str, Any], value: Any) -> bool:
    """Return whether a schema takes a value."""
    whole = {**schema, "$defs": SCHEMA["$defs"]}
    return bool(validator(whole).is_valid(value))


@pytest.mark.parametrize("term", [t for t in TERMS if t.verdict == "mapped"], ids=lambda t: t.name)
def test_the_path_of_a_term_is_in_the_language_and_takes_its_value(term: Term) -> None:
    path, _, value = term.text.partition(": ")
    found = list(schemas_at(path.split("."), {"$ref": "#/$defs/recipe"}))
    assert found, term
    if value:
        meant = parse(f"x: {value.replace('N}', '1}').replace('F}', '0.5}')}".encode(), "x").data[
            "x"
        ]
        assert any(takes(schema, meant) for schema in found), term


def test_no_parameter_that_a_plugin_takes_is_said_to_be_missing() -> None:
    kinds = ("quantizer", "adapter", "runtime", "template", "evaluator", "exporter")
    ours = {
        name
        for kind in kinds
        for plugin in REGISTRY.classes(kind)
        for name in plugin.params_model.model_fields
    }
    assert ours > {"learning_rate", "torch_compile", "report_to", "use_liger_kernel"}
    assert [t for t in TERMS if t.verdict != "mapped" and t.name in ours] == []


def test_a_name_has_one_meaning_for_each_tool() -> None:
    seen = set()
    for letter in LETTERS:
        for term in terms_of(letter).all:
            assert (letter, term.name) not in seen, term
            seen.add((letter, term.name))


# ---- commands, options and pages ------------------------------------------------------------


def texts_of(file: Path) -> Iterator[str]:
    """Yield the texts in a Python file; what an f-string puts in is `X`."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(p.value) if isinstance(p, ast.Constant) else "X" for p in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


@cache
def texts() -> list[tuple[str, str]]:
    """Return every text that a user can be shown, with the file that it is in."""
    files = [file for part in PRODUCT for file in sorted((ROOT / part).rglob("*.py"))]
    found = [(str(file.relative_to(ROOT)), text) for file in files for text in texts_of(file)]
    recipes = [*(ROOT / "recipes").rglob("*.yaml")]
    return found + [(str(file.relative_to(ROOT)), file.read_text()) for file in [*PAGES, *recipes]]


def commands_in(text: str) -> Iterator[str]:
    """Yield the commands in a text: between backticks, and on lines of their own after `$`."""
    yield from (" ".join(found.split()) for found in re.findall(r"`recipe ([^`]+)`", text))
    yield from re.findall(r"(?m)^\s*(?:\w+\d*)?\$ recipe ([^#\n\\|]+)", text)
    yield from re.findall(r"(?:next|start with): recipe ([^\n]+)", text)


@cache
def parser_of(name: str) -> argparse.ArgumentParser:
    """Return the parser of a command."""
    parser = Parser(prog=name)
    file = f"{name}_" if iskeyword(name) else name.replace("-", "_")
    import_module(f"khichdi.cli.{file}").arguments(parser)
    return parser


def wrong_with(command: str) -> str | None:
    """Return what is wrong with a command, or None."""
    name, *words = command.split()
    if name in ("X", "COMMAND", "--help", "--version"):
        return None
    if name not in COMMANDS:
        return f"there is no command {name}"
    parser = parser_of(name)
    for word in words:
        option = word.strip("[](),.;:…").partition("=")[0]
        if re.match(r"--?[a-z]", option):
            if option not in SHARED and option not in parser._option_string_actions:
                return f"{parser.prog} has no option {option}"
            continue
        for action in parser._subparsers._group_actions if parser._subparsers else ():
            if isinstance(action.choices, dict) and option in action.choices:
                parser = action.choices[option]
                break
    return None


def test_every_command_that_is_named_is_one_with_such_options() -> None:
    named = [(file, command) for file, text in texts() for command in commands_in(text)]
    assert len(named) > 150
    assert {command.split()[0] for _, command in named} >= {"run", "plan", "lock", "audit"}
    wrong = {(file, command, wrong_with(command)) for file, command in named if wrong_with(command)}
    assert wrong == set()


@pytest.mark.parametrize(
    "command", ["upload x", "run FILE --lunch 2", "store gc --deep", "plan --device"]
)
def test_a_command_that_does_not_exist_is_found(command: str) -> None:
    assert (wrong_with(command) is None) == (command == "plan --device")


def test_every_page_that_is_named_is_there() -> None:
    named = {
        (file, page.rstrip("."))
        for file, text in texts()
        for page in re.findall(r"(?<![\w/.-])docs/[\w/.-]+\.(?:md|py|json)\b", text)
    }
    assert len(named) > 5
    assert [(file, page) for file, page in sorted(named) if not (ROOT / page).is_file()] == []
