"""Text that reaches a user has no word of the list in `docs/style.md`."""

from __future__ import annotations

import ast
import re
from argparse import Action
from collections.abc import Iterator
from importlib import import_module
from keyword import iskeyword
from pathlib import Path

import pytest

from khichdi.cli.main import COMMANDS, Parser
from khichdi.plugins.kinds import KINDS
from khichdi.plugins.registry import load_registry

ROOT = Path(__file__).resolve().parents[2]
STYLE = ROOT / "docs" / "style.md"
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
PRODUCT = ("schema", "plugins", "compiler", "runtime", "project", "cli")
DIALECT = {
    "anew": r"anew",
    "apart (a distance)": r"(?:far|further|are|is) apart",
    "bring": r"br(?:ing|ings|ought)",
    "colour": r"colour\w*",
    "cut short": r"cut (?:short|in two)",
    "gives no sign": r"(?:give|gives|gave|given) no sign",
    "goes on (a run)": r"(?:goes|went) on",
    "held out": r"held[- ]out|hold \w+ out",
    "is no (thing)": r"(?<!there )is no [a-z`]\w*",
    "is to go": r"is to go",
    "learnt": r"learnt",
    "licence": r"licence\w*",
    "meanwhile": r"meanwhile",
    "mend": r"mend(?:s|ed|ing)?",
    "tell (report)": r"(?:is|are|not) told|tells(?! apart)",
    "to the bit": r"to the bit",
    "tokenise": r"tokenis\w+",
    "whoever": r"whoever",
}
WRONG = re.compile("|".join(rf"\b{pattern}\b" for pattern in DIALECT.values()), re.IGNORECASE)


def dialect(text: str) -> list[str]:
    """Return the words of the list in a text, less its code."""
    plain = re.sub(r"```.*?```|`[^`]*`", "``", text, flags=re.DOTALL)
    return [found[0] for found in WRONG.finditer(" ".join(plain.split()))]


def plugin_texts() -> Iterator[tuple[str, str]]:
    registry = load_registry()
    for kind in KINDS:
        for name in registry.names(kind):
            plugin = registry.get(kind, name).plugin
            yield f"{kind} {name}", plugin.__doc__ or ""
            for key, field in plugin.params_model.model_fields.items():
                yield f"{kind} {name}: {key}", field.description or ""


def command_texts() -> Iterator[tuple[str, str]]:
    for name, summary in COMMANDS.items():
        yield name, summary
        file = f"{name}_" if iskeyword(name) else name.replace("-", "_")
        module = import_module(f"khichdi.cli.{file}")
        yield name, module.__doc__ or ""
        parser = Parser(prog=name)
        module.arguments(parser)
        options: list[Action] = parser._actions
        yield from ((f"{name} {option.dest}", option.help or "") for option in options)


def string_constants(file: Path) -> Iterator[tuple[str, str]]:
    """Yield the strings of a module that are sentences, except docstrings."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    bare = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        text = node.value if isinstance(node, ast.Constant) and id(node) not in bare else None
        if isinstance(text, str) and len(text.split()) > 2:
            yield f"{file.relative_to(ROOT)}:{node.lineno}", text


def test_the_list_is_that_of_the_document() -> None:
    table = STYLE.read_text(encoding="utf-8").split("| --- | --- |\n")[1]
    rows = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("|")]
    assert rows == sorted(DIALECT)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("It is no recipe; mend it.", ["is no recipe", "mend"]),
        ("There is no file `x`: see the amendment.", []),
        ("12 errors are not told", ["not told"]),
        ("`learnt` is a name in code", []),
    ],
)
def test_the_scan_finds_words_and_spares_code(text: str, found: list[str]) -> None:
    assert dialect(text) == found


@pytest.mark.parametrize("texts", [plugin_texts, command_texts], ids=["plugins", "commands"])
def test_help_is_in_the_words_of_the_field(texts: object) -> None:
    assert callable(texts)
    wrong = {place: words for place, text in texts() if (words := dialect(text))}
    assert not wrong


@pytest.mark.parametrize("file", DOCUMENTS, ids=lambda file: file.name)
def test_a_document_is_in_the_words_of_the_field(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    if file == STYLE:
        text = text.split("| dialect")[0]
    lines = enumerate(text.split("\n\n"), 1)
    wrong = {f"paragraph {n}: {part[:60]}": words for n, part in lines if (words := dialect(part))}
    assert not wrong


@pytest.mark.parametrize("part", PRODUCT)
def test_messages_are_in_the_words_of_the_field(part: str) -> None:
    wrong = {
        place: words
        for file in sorted((ROOT / part).rglob("*.py"))
        for place, text in string_constants(file)
        if (words := dialect(text))
    }
    assert not wrong
