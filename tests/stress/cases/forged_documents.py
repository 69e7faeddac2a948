"""Forgeries of what a run says: its documents, field by field, its recipe, and its folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from khichdi.compiler.compile import compile_recipe, with_lock
from khichdi.project.bundled_recipes import open_recipe
from khichdi.schema.digest import file_sha256
from khichdi.schema.errors import KhichdiError
from khichdi.schema.lock import Lock
from khichdi.schema.yaml_reader import parse

from .forger import FIT, Forger, pins, read_documents, registry
from .honest_runs import Honest
from .json_mutants import Mutant, another_value, mutants_of, mutate

RECIPE = "recipe/pico.yaml"


def document_mutants(honest: Honest) -> Iterator[Mutant]:
    """Yield every mutant of every field of the sealed documents, at both depths."""
    for name, value in read_documents(honest.run).items():
        for depth in ("alone", "followed"):
            yield from mutants_of("document", depth, name, value)


def forge_document(mutant: Mutant, forger: Forger, other: Honest) -> bool:
    """Change a document, and make what it says fit; return whether anything changed."""
    honest, value = forger.meaning(), forger.values[mutant.target]
    beside = read_documents(other.run).get(mutant.target)
    if not mutate(value, beside, mutant.kind, mutant.place):
        return False
    if mutant.depth == "followed":
        forger.follow(mutant.target, mutant.place)
    changed = forger.meaning() != honest
    forger.seal()
    return changed


# ---- the recipe -----------------------------------------------------------------------------


def recipe_mutants(honest: Honest) -> Iterator[Mutant]:
    """Yield a mutant of every value of the recipe's text, and of its lines."""
    parsed = parse((honest.run / RECIPE).read_bytes(), "pico.yaml")
    for place in parsed.values:
        if place:
            for depth in ("alone", "followed"):
                yield Mutant("recipe", "change", depth, RECIPE, place)
    for line in range(len((honest.run / RECIPE).read_text().splitlines())):
        for kind in ("delete", "duplicate"):
            yield Mutant("recipe", kind, "followed", RECIPE, (line,))
    yield Mutant("recipe", "swap", "followed", RECIPE)
    yield Mutant("recipe", "add", "followed", RECIPE)


def forge_recipe(mutant: Mutant, forger: Forger, other: Honest) -> bool:
    """Change the recipe; where it compiles, let plan and record be those of the new recipe."""
    text = (forger.run / RECIPE).read_text()
    made = _recipe_text(mutant, text, (other.run / RECIPE).read_text())
    if made == text:
        return False
    show_recipe(forger, made, compiled=mutant.depth == "followed")
    return True


def show_recipe(forger: Forger, text: str, *, compiled: bool = True) -> None:
    """Show another text as the recipe that ran, with the plan that it compiles to."""
    path = forger.run / RECIPE
    forger.replace(path, text.encode())
    forger.record["files"][0]["sha256"] = file_sha256(path)
    if compiled:
        _compile(forger, path)
    forger.seal()


def _recipe_text(mutant: Mutant, text: str, other: str) -> str:
    lines = text.splitlines(keepends=True)
    if mutant.kind == "swap":
        return other
    if mutant.kind == "add":
        return text + "# a line more\n"
    if mutant.kind in ("delete", "duplicate"):
        line = int(mutant.place[0])
        lines[line : line + 1] = [lines[line]] * (2 if mutant.kind == "duplicate" else 0)
        return "".join(lines)
    parsed = parse(text.encode(), "pico.yaml")
    mark, value = parsed.values[mutant.place], parsed.data
    for part in mutant.place:
        value = value[part]
    if isinstance(value, dict | list):
        return text
    line, start = lines[mark.line - 1], mark.column - 1
    new = json.dumps(another_value(value))
    lines[mark.line - 1] = line[:start] + new + line[start + mark.length :]
    return "".join(lines)


def _compile(forger: Forger, path: Path) -> None:
    """Take over the plan of the recipe as it is now, with the bytes as they are pinned."""
    home = path.parent
    try:
        found = compile_recipe(path.name, home, open_recipe, registry())
        known = pins(forger.plan)
        asked = {
            step.name: known[step.name].model_copy(update={"request": step.plugin.request()})
            for step in found.plan.steps
            if step.kind == "source" and step.name in known
        }
        lock = Lock(recipe=found.plan.recipe, language=found.plan.language, materials=asked)
        plan = with_lock(found, registry(), lock).plan
    except KhichdiError:
        return
    forger.values["plan.json"] = json.loads(plan.model_dump_json())
    forger.record["bound"] = found.recipe.to_json()
    for value in forger.record["steps"]:
        for step in forger.plan["steps"]:
            if step["name"] == value["name"]:
                value["result"]["key"] = step["key"]
    forger.follow("plan.json")


# ---- the folder -----------------------------------------------------------------------------


def folder_mutants(honest: Honest) -> Iterator[Mutant]:
    """Yield mutants of each file of a run's folder, and of files beside them."""
    for path in sorted(honest.run.rglob("*")):
        if path.is_file():
            name = path.relative_to(honest.run).as_posix()
            for kind in ("change", "delete", "add", "duplicate", "swap"):
                yield Mutant("folder", kind, "alone", name)
    for name in ("adapter/adapter_model.bin", "export/merged/pytorch_model.bin", "README.md",
                 "recipe/sitecustomize.py", "recipe/.hidden", "adapter.sig/x", "export/other/x",
                 "artifacts/x", "calibration.json/x", "adapter/deep/er/x"):  # fmt: skip
        yield Mutant("folder", "add", "alone", "", (name,))


def forge_folder(mutant: Mutant, forger: Forger, other: Honest) -> bool:
    """Change a file of a run's folder, and no document that names it."""
    ways: dict[str, Callable[[Path, Path], None]] = {
        "change": lambda path, _: forger.replace(path, _flipped(path.read_bytes())),
        "delete": lambda path, _: path.unlink(),
        "add": lambda path, _: forger.replace(path.with_name(f"{path.name}.bin"), b"\x80\x04."),
        "duplicate": lambda path, _: _copy(path, path.with_name(f"copy-{path.name}")),
        "swap": lambda path, another: forger.replace(path, another.read_bytes()),
    }
    if mutant.place:
        try:
            forger.replace(forger.run / str(mutant.place[0]), b"x")
        except FIT:
            return False
        return True
    path, another = forger.run / mutant.target, other.run / mutant.target
    if mutant.kind == "swap" and (
        not another.is_file() or another.read_bytes() == path.read_bytes()
    ):
        return False
    ways[mutant.kind](path, another)
    return True


def _copy(path: Path, target: Path) -> None:
    shutil.copyfile(path, target)


def _flipped(raw: bytes) -> bytes:
    middle = len(raw) // 2
    return raw[:middle] + bytes([raw[middle] ^ 1]) + raw[middle + 1 :] if raw else b" "
