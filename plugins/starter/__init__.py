"""Generate a plugin distribution for `recipe plugins new`.

The texts are templates: `$name` is the plugin's name, `$package` that of its package, `$Class` that
of its class. There is a body for each kind in `bodies.py`.
"""

from __future__ import annotations

from pathlib import Path
from string import Template

from ..class_checks import NAME
from ..kinds import KINDS
from .bodies import BODIES, RECIPES, TESTS
from .files import MODULE, PROJECT, README, TEST


def distribution(name: str, kind: str) -> dict[Path, str]:
    """Return the files of a new distribution by path."""
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
        "recipe": RECIPES[kind].replace("NAME", name),
    }
    inner = {
        key: Template(text).substitute(words)
        for key, text in {
            "imports": BODIES[kind].imports,
            "params": BODIES[kind].params,
            "body": BODIES[kind].body,
            "given": TESTS.get(kind, ""),
        }.items()
    }
    texts = {
        "pyproject.toml": PROJECT,
        "README.md": README,
        f"{package}/__init__.py": MODULE,
        "tests/test_plugin.py": TEST,
    }
    return {Path(path): Template(text).substitute(words | inner) for path, text in texts.items()}
