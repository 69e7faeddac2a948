"""Generate a plugin for `recipe plugins new`.

It is a distribution, ready to install, test and edit, or a single plugin file beside a recipe.

The texts are templates: `$name` is the plugin's name, `$package` that of its package, `$Class` that
of its class. There is a body for each kind in `bodies.py`.
"""

from __future__ import annotations

from pathlib import Path
from string import Template

from ..class_checks import NAME
from ..kinds import KINDS
from .bodies import BODIES, RECIPES, TESTS
from .files import CLASSES, MODULE, PROJECT, README, TEST


def plugin_file(name: str, kind: str) -> str:
    """Return the text of a new plugin file."""
    return Template(CLASSES).substitute(_words(name, kind))


def recipe_lines(name: str, kind: str) -> str:
    """Return the lines of a recipe that name a plugin."""
    return RECIPES[kind].replace("NAME", name)


def distribution(name: str, kind: str) -> dict[Path, str]:
    """Return the files of a new distribution by path."""
    words = _words(name, kind, "hookimpl")
    texts = {
        "pyproject.toml": PROJECT,
        "README.md": README,
        f"{words['package']}/__init__.py": MODULE,
        "tests/test_plugin.py": TEST,
    }
    return {Path(path): Template(text).substitute(words) for path, text in texts.items()}


def _words(name: str, kind: str, *imported: str) -> dict[str, str]:
    """Return the values of the templates' variables."""
    assert NAME.fullmatch(name)
    assert kind in KINDS
    package = f"khichdi_{name.replace('-', '_')}"
    words = {
        "name": name,
        "kind": kind,
        "package": package,
        "project": package.replace("_", "-"),
        "Class": "".join(word.title() for word in name.split("-")),
        "Base": kind.title(),
        "recipe": recipe_lines(name, kind),
    }
    body = BODIES[kind]
    inner = {
        "imports": body.imports.text(*imported),
        "params": body.params,
        "body": body.body,
        "given": TESTS.get(kind, ""),
    }
    return words | {key: Template(text).substitute(words) for key, text in inner.items()}
