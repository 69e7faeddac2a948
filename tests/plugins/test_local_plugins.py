"""Plugin files: loaded by the door of all plugins, keyed by their bytes, and refused in words."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pytest
from row_batches import batch_of

from khichdi.cli.main import main
from khichdi.compiler.compile import Compiled, compile_recipe
from khichdi.compiler.language.json_schema import language_schema
from khichdi.compiler.yaml.textconv import canonical_text
from khichdi.plugins import Editor, Filter, Params, Row
from khichdi.plugins.class_checks import fault
from khichdi.plugins.kinds.row_view import rows_of
from khichdi.plugins.plugin_files import PluginFile
from khichdi.plugins.registry import load_registry
from khichdi.project.bundled_recipes import open_recipe
from khichdi.runtime.steps import parallel_filter
from khichdi.runtime.tables import BATCH, write_table
from khichdi.schema.errors import RecipeError, RegistryError

REGISTRY = load_registry()

ROOT = Path(__file__).parents[2]
FILE = (ROOT / "docs" / "plugins.md").read_text("utf-8").split("```python\n")[1].split("```")[0]
"""The plugin file of the documentation."""
RECIPE = """\
extends: quickstart
recipe: 1
name: mine
plugins:
  - ./filters.py
mixture:
  filters: [{use: no-shouting, share: 0.4}]
"""


def made(folder: Path, file: str = FILE, recipe: str = RECIPE) -> Compiled:
    folder.mkdir(exist_ok=True, parents=True)
    (folder / "filters.py").write_text(file)
    (folder / "mine.yaml").write_text(recipe)
    return compile_recipe("mine.yaml", folder, open_recipe, REGISTRY)


def keys(compiled: Compiled) -> dict[str, str]:
    return {step.name: step.key for step in compiled.plan.steps}


def refused(folder: Path, file: str = FILE, recipe: str = RECIPE) -> str:
    with pytest.raises(RecipeError) as raised:
        made(folder, file, recipe)
    (found,) = raised.value.diagnostics
    return str(found)


# ---- keys -----------------------------------------------------------------------------------


def test_the_bytes_of_the_file_move_its_steps_and_what_follows_alone(tmp_path: Path) -> None:
    before, after = made(tmp_path / "a"), made(tmp_path / "b", FILE + "# another comment\n")
    moved = {name for name, key in keys(before).items() if keys(after)[name] != key}
    own = {step.name for step in before.plan.steps if step.plugin.file}
    assert own == {"mixture/filter/no-shouting"}
    assert own <= moved
    assert not moved & {"base", "mixture", "mixture/filter/exact-duplicates"}
    assert not [name for name in moved if name.startswith("data/")]


def test_where_the_file_lies_moves_nothing(tmp_path: Path) -> None:
    beside = made(tmp_path / "a")
    (tmp_path / "b" / "below").mkdir(parents=True)
    (tmp_path / "b" / "below" / "other.py").write_text(FILE)
    below = made(tmp_path / "b", recipe=RECIPE.replace("./filters.py", "below/other.py"))
    assert keys(beside) == keys(below)


def test_a_file_that_no_step_uses_moves_nothing(tmp_path: Path) -> None:
    unused = RECIPE.partition("mixture:")[0]
    plain = unused.replace("plugins:\n  - ./filters.py\n", "")
    assert keys(made(tmp_path / "a", recipe=unused)) == keys(made(tmp_path / "b", recipe=plain))


def test_what_extends_keeps_the_folder_of_each_file(tmp_path: Path) -> None:
    made(tmp_path / "parent")
    child = "extends: ../parent/mine.yaml\nname: child\nplugins: [./filters.py]\n"
    file = FILE.replace("no-shouting", "never-shouting").replace("NoShouting", "NeverShouting")
    compiled = made(tmp_path / "child", file, child)
    assert compiled.recipe.plugins == ("./filters.py", "./filters.py")
    assert {"no-shouting", "never-shouting"} <= set(compiled.registry.names("filter"))
    known = {entry.distribution.name for entry in compiled.registry if entry.file}
    assert known == {"filters.py", "../parent/filters.py"}


# ---- the door -------------------------------------------------------------------------------


HEAD = "from khichdi.plugins import *\n\n\nclass Own(Filter[Params]):\n    'Keep all.'\n"
ROW = "    def reason(self, row): return None\n"

FAULTY = {
    "syntax": ("x = 1\ndef f(:\n", "filters.py, line 2: SyntaxError: invalid syntax"),
    "import": ("\nimport nonsense\n", "filters.py, line 2: ModuleNotFoundError"),
    "exit": ("import sys\nsys.exit()\n", "filters.py, line 2: SystemExit"),
    "nothing": ("x = 1\n", "filters.py defines no plugin"),
    "no name": (HEAD + ROW, "it has no `name`"),
    "taken": (HEAD + "    name = 'max-words'\n" + ROW, "two filter plugins are named `max-words`"),
    "neither": (HEAD + "    name = 'own'\n", "it defines neither `reason` nor `reasons`"),
    "hook": ("def khichdi_filter(): return []\n", "did you mean `khichdi_filters`?"),
}


@pytest.mark.parametrize("name", FAULTY)
def test_a_fault_in_a_file_is_told_where_the_recipe_names_it(name: str, tmp_path: Path) -> None:
    text, words = FAULTY[name]
    found = refused(tmp_path, text)
    assert "mine.yaml:5:5: " in found.splitlines()[0]
    assert words in found


PATHS = {
    "./gone.py": "there is no plugin file ./gone.py",
    "../outside.py": "`../outside.py` leaves the folder of the recipe",
    "/outside.py": "`/outside.py` leaves the folder of the recipe",
    "./filters.txt": "'./filters.txt' is not the path of a Python file",
    "./link.py": "`./link.py` is a link that leaves the folder of the recipe",
}


@pytest.mark.parametrize("path", PATHS)
def test_only_files_beside_the_recipe_or_below(path: str, tmp_path: Path) -> None:
    folder = tmp_path / "inside"
    folder.mkdir()
    (tmp_path / "outside.py").write_text(FILE)
    (folder / "link.py").symlink_to(tmp_path / "outside.py")
    found = refused(folder, recipe=RECIPE.replace("./filters.py", path))
    assert "mine.yaml:5:5: " + PATHS[path] in found


def test_a_secret_in_a_file_is_refused(tmp_path: Path) -> None:
    assert "secret" not in FILE
    found = refused(tmp_path, FILE + "TOKEN = 'hf_" + "a1B2" * 10 + "'\n")
    assert found.startswith("./filters.py:17:10: a token of the Hugging Face hub")


def test_parameters_are_checked_and_in_the_schema(tmp_path: Path) -> None:
    compiled = made(tmp_path)
    schema = language_schema(compiled.registry)
    assert "share" in schema["$defs"]["filter.no-shouting"]["properties"]
    found = refused(tmp_path, recipe=RECIPE.replace("share: 0.4", "share: 4"))
    assert "mine.yaml:7:39: " in found


def test_hooks_of_a_file_come_before_its_classes(tmp_path: Path) -> None:
    hook = "\nfrom khichdi.plugins import hookimpl\n\n\n@hookimpl\ndef khichdi_filters():\n"
    other = FILE.replace("NoShouting(", "_Other(").replace("no-shouting", "other")
    compiled = made(
        tmp_path, FILE + other.partition("\n\n\n")[2] + hook + "    return [NoShouting]\n"
    )
    assert "other" not in compiled.registry.names("filter")


@pytest.mark.parametrize("refusal", ["none", "an option"])
def test_a_file_is_not_run_where_that_is_refused(
    refusal: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if refusal == "none":
        monkeypatch.setenv("KHICHDI_PLUGINS", "none")
    registry = load_registry(refusal=None if refusal == "none" else "say --yes")
    file = PluginFile("f.py", tmp_path / "f.py", b"raise SystemExit('it ran')\n")
    with pytest.raises(RegistryError, match=r"f\.py is not run"):
        registry.with_file(file)


def test_git_diff_does_not_run_it(tmp_path: Path) -> None:
    (tmp_path / "filters.py").write_text("raise SystemExit('it ran')\n")
    text = canonical_text(b"recipe: 1\nplugins: [./filters.py]\n", REGISTRY)
    assert text == b'plugins: ["./filters.py"]\nrecipe: 1\n'


@pytest.mark.heavy  # the kit imports it in another process
def test_the_kit_and_the_starter_know_plugin_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["plugins", "new", "no-shouting", "--kind", "filter", "--file"]) == 0
    assert "plugins: [./no_shouting.py]" in capsys.readouterr().out
    made(tmp_path, "", RECIPE.replace("filters.py", "no_shouting.py"))
    assert main(["plugins", "check", "no_shouting.py"]) == 0
    assert "filter  no-shouting  no_shouting.py" in capsys.readouterr().out
    assert main(["plugins", "new", "no-shouting", "--kind", "filter", "--file"]) == 2


# ---- other processes ------------------------------------------------------------------------


UNPICKLE = """\
import pickle, sys
import khichdi.plugins
plugin = pickle.loads(bytes.fromhex(sys.stdin.read()))
print(plugin.reason({"input": "LOUD"}), plugin.params.share)
"""


def unpickled(data: bytes) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", UNPICKLE]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        command, input=data.hex(), env=environment, capture_output=True, text=True
    )


def test_another_process_loads_the_same_bytes_or_fails(tmp_path: Path) -> None:
    plugin = made(tmp_path).registry.create("filter", "no-shouting", {"share": 0.25})
    data = pickle.dumps(plugin)
    assert unpickled(data).stdout == "shouting 0.25\n"
    (tmp_path / "filters.py").write_text(FILE + "# changed\n")
    assert "filters.py was changed while it was in use" in unpickled(data).stderr


@pytest.mark.heavy
def test_worker_processes_filter_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["quiet", "LOUD"] * BATCH * 2
    (tmp_path / "rows").mkdir()
    write_table(tmp_path / "rows", pa.Table.from_batches([batch_of([{"input": t} for t in texts])]))
    plugin = made(tmp_path / "recipe").registry.create("filter", "no-shouting", {})
    monkeypatch.setattr(parallel_filter, "PAYS", 0.0)  # else so few rows are not worth a process
    monkeypatch.setenv(parallel_filter.VARIABLE, "2")
    job = parallel_filter.FilterJob(plugin, tmp_path / "rows", {}, {}, None, None)
    assert parallel_filter._packed(job) is not None
    found = [reason for _, (_, reasons) in parallel_filter.answers(job) for reason in reasons]
    assert found == [None, "shouting"] * BATCH * 2


# ---- one row at a time ----------------------------------------------------------------------


class Upper(Editor[Params]):
    """Write inputs in capitals."""

    name = "upper"

    def edit_row(self, row: Row, draw: int | None) -> dict[str, Any]:
        return {"input": row["input"].upper()}


def batch(*texts: str) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([{"id": text, "input": text} for text in texts])


def test_a_filter_is_asked_about_rows_by_default(tmp_path: Path) -> None:
    plugin = made(tmp_path).registry.create("filter", "no-shouting", {})
    assert plugin.reasons(batch("quiet", "LOUD")) == [None, "shouting"]


def test_an_editor_is_given_rows_by_default() -> None:
    assert fault(Upper, "filter", Filter) is None
    edited = Upper(Params()).edit(batch("a", "b"), [])
    assert edited.to_pylist() == [{"id": "a", "input": "A"}, {"id": "b", "input": "B"}]
    assert edited.schema == batch("a").schema


class Looker(Filter[Params]):
    """Say what it sees of a row."""

    name = "looker"
    seen: ClassVar[list[Any]] = []

    def reason(self, row: Row) -> str | None:
        self.seen.append((dict(row), len(row), row.get("gone"), repr(row)))
        return None


def test_a_row_is_a_mapping_that_cannot_be_changed() -> None:
    Looker(Params()).reasons(batch("a"))
    assert Looker.seen == [({"id": "a", "input": "a"}, 2, None, "{'id': 'a', 'input': 'a'}")]
    (row,) = rows_of(batch("a"))
    with pytest.raises(TypeError):
        row["input"] = "b"  # type: ignore[index]


class Lost(Upper):
    """Write a column that is not there."""

    def edit_row(self, row: Row, draw: int | None) -> dict[str, Any]:
        return {"inputs": "A"}


def test_a_column_that_is_not_there_is_refused() -> None:
    with pytest.raises(KeyError, match="`edit_row` returned 'inputs', which is not a column"):
        Lost(Params()).edit(batch("a"), [])


def test_both_ways_at_once_are_refused() -> None:
    def edit(self: Any, batch: Any, draw: Any) -> Any:
        return batch

    both = type("Both", (Upper,), {"__doc__": "Both.", "edit": edit})
    neither = type("Neither", (Editor,), {"__doc__": "Neither.", "name": "neither"})
    assert str(fault(both, "filter", Filter)).startswith("it defines both `edit_row` and `edit`")
    assert str(fault(neither, "filter", Filter)).startswith("it defines neither `edit_row` nor")


def test_plans_without_plugin_files_do_not_mention_them() -> None:
    plan = compile_recipe("quickstart", ROOT, open_recipe, REGISTRY).plan
    assert '"file": ' not in plan.to_text()
    assert '"plugins"' not in plan.to_text()
