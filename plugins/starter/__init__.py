"""Generate a plugin for `recipe plugins new`.

It is a distribution, ready to install, test and edit, or a single plugin file beside a recipe. Its
code is the example of its kind in `examples/`, under the name that was asked for.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from string import Template

from ..class_checks import NAME
from ..kinds import KINDS
from .files import MODULE, PROJECT, README, TEST

RECIPES = {
    "source": "data:\n  mine:\n    source: {use: NAME, file: rows.jsonl}",
    "reader": "data:\n  mine:\n    read: {use: NAME}",
    "filter": "data:\n  mine:\n    filters: [{use: NAME}]",
    "scorer": "data:\n  mine:\n    score: {use: NAME}",
    "sampler": "data:\n  mine:\n    sample: {use: NAME}",
    "template": "train: {template: {use: NAME}}",
    "quantizer": "model:\n  quantization: {use: NAME}",
    "adapter": "model:\n  adapter: {use: NAME}",
    "runtime": "train: {use: NAME, template: {use: alpaca}}",
    "evaluator": "evaluate: [{use: NAME}]",
    "exporter": "export: [{use: NAME}]",
    "rule": "rules: [{use: NAME}]",
}
"""Where a plugin of each kind stands in a recipe."""

TEST_FILES = {
    "source": '    files = {"rows.jsonl": "{}\\n"}\n',
    "reader": '    files = {"a.tsv": "2 + 2?\\t4\\n3 + 3?\\t6\\n"}\n',
}
"""Files that the conformance kit gives to the example of a kind."""


def plugin_file(name: str, kind: str) -> str:
    """Return the text of a new plugin file."""
    assert NAME.fullmatch(name)
    assert kind in KINDS
    example = resources.files(__package__).joinpath("examples", f"{kind}.py").read_text("utf-8")
    return example.replace("my-plugin", name).replace("MyPlugin", _class_name(name))


def recipe_lines(name: str, kind: str) -> str:
    """Return the lines of a recipe that name a plugin."""
    return RECIPES[kind].replace("NAME", name)


def distribution(name: str, kind: str) -> dict[Path, str]:
    """Return the files of a new distribution by path."""
    package = f"khichdi_{name.replace('-', '_')}"
    words = {
        "name": name,
        "kind": kind,
        "package": package,
        "project": package.replace("_", "-"),
        "Class": _class_name(name),
        "Base": kind.title(),
        "recipe": recipe_lines(name, kind),
        "given": TEST_FILES.get(kind, ""),
    }
    texts = {
        "pyproject.toml": PROJECT,
        "README.md": README,
        f"{package}/__init__.py": MODULE,
        "tests/test_plugin.py": TEST,
    }
    made = {Path(path): Template(text).substitute(words) for path, text in texts.items()}
    return made | {Path(package, "plugin.py"): plugin_file(name, kind)}


def _class_name(name: str) -> str:
    return "".join(word.title() for word in name.split("-"))
