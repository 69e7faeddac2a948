"""The house stands as designed: who imports whom, what needs which extra, what is packaged."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAY_IMPORT = {
    "recipes": set(),
    "schema": set(),
    "plugins": {"schema"},
    "compiler": {"schema", "plugins"},
    "runtime": {"schema", "plugins"},
    "project": {"schema", "plugins", "compiler", "runtime", "recipes"},
    "cli": {"schema", "plugins", "compiler", "runtime", "project", "recipes"},
}
NEEDS_EXTRA = json.loads((Path(__file__).parent / "needs_extra.json").read_text())
EXTRAS = [
    "accelerate", "bitsandbytes", "datasets", "flash_attn", "gguf", "httpx", "huggingface_hub",
    "jsonschema", "lm_eval", "matplotlib", "numpy", "pandas", "peft", "pyarrow", "rouge_score",
    "safetensors", "scipy", "sentencepiece", "starlette", "tokenizers", "torch", "torchao",
    "transformers", "uvicorn",
]  # fmt: skip


def product_files() -> list[Path]:
    return [p for part in MAY_IMPORT for p in sorted((ROOT / part).rglob("*.py"))]


def imported_parts(file: Path) -> Iterator[tuple[int, str]]:
    parts = file.relative_to(ROOT).with_suffix("").parts
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom):
            base = parts[: len(parts) - node.level] if node.level else ()
            full = [*base, *(node.module.split(".") if node.module else [node.names[0].name])]
            yield node.lineno, full[1] if full[0] == "khichdi" and len(full) > 1 else full[0]
        elif isinstance(node, ast.Import):
            for name in node.names:
                full = name.name.split(".")
                yield node.lineno, full[1] if full[0] == "khichdi" and len(full) > 1 else full[0]


@pytest.mark.parametrize("part", MAY_IMPORT)
def test_a_folder_imports_only_what_the_design_allows(part: str) -> None:
    wrong = []
    for file in sorted((ROOT / part).rglob("*.py")):
        for line, other in imported_parts(file):
            if other in MAY_IMPORT and other != part and other not in MAY_IMPORT[part]:
                wrong.append(f"{file.relative_to(ROOT)}:{line}: {part} may not import {other}")
    assert not wrong


def module_names() -> list[str]:
    names = []
    for file in product_files():
        parts = file.relative_to(ROOT).with_suffix("").parts
        if parts[0] == "recipes" or parts[-1] == "__main__":
            continue
        names.append("khichdi." + ".".join(p for p in parts if p != "__init__"))
    return names


def test_every_module_imports_without_the_extras_but_those_listed() -> None:
    script = f"""
import importlib, json, sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {EXTRAS!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Refuse())
failed = []
for name in {module_names()!r}:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        failed.append(name)
print(json.dumps(failed))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert sorted(json.loads(done.stdout)) == sorted(NEEDS_EXTRA)


def test_every_folder_is_in_the_package_under_its_own_name() -> None:
    package = ROOT / "src" / "khichdi"
    links = {
        link.name: link.readlink().as_posix() for link in package.iterdir() if link.is_symlink()
    }
    assert links == {part: f"../../{part}" for part in MAY_IMPORT}


def test_every_folder_with_modules_is_a_package() -> None:
    folders = {file.parent for file in product_files() if "recipes" not in file.parts}
    assert not [folder for folder in folders if not (folder / "__init__.py").exists()]


def test_a_package_that_lists_its_files_lists_all_of_them_and_no_others() -> None:
    wrong = []
    for file in product_files():
        listed = set(
            re.findall(r"\b\w+\.py\b", ast.get_docstring(ast.parse(file.read_text())) or "")
        )
        if file.name == "__init__.py" and len(listed) > 1:
            there = {path.name for path in file.parent.glob("*.py")} - {"__init__.py"}
            wrong += [f"{file.relative_to(ROOT)}: {name}" for name in sorted(there ^ listed)]
    assert not wrong


def test_no_import_climbs_more_than_three_folders() -> None:
    wrong = [
        f"{file.relative_to(ROOT)}:{node.lineno}"
        for file in product_files()
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ImportFrom) and node.level > 3
    ]
    assert not wrong


@pytest.mark.parametrize("part", MAY_IMPORT)
def test_a_folder_refuses_to_be_imported_under_its_bare_name(part: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import {part}"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode != 0
    assert f"khichdi.{part}" in done.stderr


# ---- cycles ---------------------------------------------------------------------------------


def module_of(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(("khichdi", *(part for part in parts if part != "__init__")))


def imports_of(file: Path, known: dict[str, Path]) -> set[str]:
    """Return the modules that a file imports anywhere: at its top, for types, in functions."""
    own = module_of(file).split(".")
    if file.name == "__init__.py":
        own.append("__init__")
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = own[: len(own) - node.level] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
            if any(f"{module}.{alias.name}" in known for alias in node.names):
                found.discard(module)  # a module out of a package, not a name of its __init__
    return (found & known.keys()) - {module_of(file)}


def cycles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Return the strongly connected components of several nodes (Tarjan)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(graph[node]):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            component = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(component) > 1:
                found.append(sorted(component))

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return found


def test_no_modules_import_one_another_in_a_circle() -> None:
    files = [file for file in product_files() if not file.is_relative_to(ROOT / "recipes")]
    known = {module_of(file): file for file in files}
    assert cycles({name: imports_of(file, known) for name, file in known.items()}) == []


def test_a_circle_is_found_through_types_and_functions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    (tmp_path / "plugins").mkdir()
    one, other = tmp_path / "plugins" / "one.py", tmp_path / "plugins" / "other.py"
    one.write_text("if TYPE_CHECKING:\n    from .other import Name\n")
    other.write_text("def function():\n    from . import one\n")
    known = {module_of(file): file for file in (one, other)}
    assert cycles({name: imports_of(file, known) for name, file in known.items()}) == [
        ["khichdi.plugins.one", "khichdi.plugins.other"]
    ]
