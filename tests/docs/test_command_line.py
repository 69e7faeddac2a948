"""`docs/command-line.md` lists the exit statuses and environment variables that there are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from khichdi.cli.main import COMMANDS
from khichdi.schema import errors

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
FOLDERS = ("schema", "plugins", "compiler", "runtime", "project", "cli", "tests", "benchmarks")
ATTRIBUTES = {"KHICHDI_API"}
"""Names of that form that a plugin's module has, not the environment."""


def sources() -> Iterator[Path]:
    for folder in FOLDERS:
        yield from sorted((ROOT / folder).rglob("*.py"))


def rows(section: str) -> list[str]:
    """Return the first cell of each row of a section's table."""
    part = PAGE.split(f"## {section}\n")[1].split("\n## ")[0]
    cells = [line.split("|")[1].strip() for line in part.splitlines() if line.startswith("| ")]
    return cells[2:]


def test_every_variable_is_documented_and_every_documented_one_is_read() -> None:
    used = {
        name
        for file in sources()
        if file != Path(__file__).resolve()
        for name in re.findall(r"KHICHDI_[A-Z_]+", file.read_text(encoding="utf-8"))
    }
    assert {f"`{name}`" for name in used - ATTRIBUTES} == set(rows("Environment variables"))


def test_every_exit_status_is_documented() -> None:
    raised = {
        kind.status
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.KhichdiError)
    }
    assert {str(status) for status in {0, 1, 130} | raised} == set(rows("Exit statuses"))


def test_every_command_is_in_the_readme_and_no_other() -> None:
    tables = README.split("## Commands\n\n")[1].split("\n## ")[0].splitlines()
    first = [re.split(r"(?<!\\)\|", line)[1] for line in tables if line.startswith("| `")]
    named = {word for cell in first for word in re.findall(r"`(?:recipe )?([a-z-]+)", cell)}
    assert named == set(COMMANDS)


def test_every_command_that_a_message_or_a_document_names_exists() -> None:
    named = {
        (word, file.relative_to(ROOT).as_posix())
        for file in [*sources(), *sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/*.md"))]
        if file.parts[len(ROOT.parts)] not in ("tests", "benchmarks")
        for word in re.findall(r"`recipe ([a-z][a-z-]+)", file.read_text(encoding="utf-8"))
    }
    assert not {(word, file) for word, file in named if word not in COMMANDS}
