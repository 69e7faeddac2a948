"""What an editor makes of the schema: the real YAML language server, by its own protocol."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from language_server import LanguageServer, install

from khichdi.project.bundled_recipes import shipped_recipes
from khichdi.project.editor_schema import FILE, modeline, write_schema

RECIPE = """\
recipe: 1
model:
  base: {use: files, folder: base, include: ["*"]}
  adapter:
    use: lora
data:
  lima:
    source: {use: files, include: [lima.jsonl]}
    read: {use: jsonl}
train:
  use: qlora
  template: {use: alpaca}
"""
CHANGE = """\
extends: other.yaml
model:
  adapter:
    r: 8
  quantization: null
data:
  lima:
    read: {field: turns}
"""


class Editor:
    """An editor with a folder of recipes that name the schema beside them."""

    def __init__(self, server: LanguageServer, folder: Path) -> None:
        self._server = server
        self._folder = folder
        self._count = 0

    def open(self, text: str) -> tuple[Path, list[str]]:
        """Open a recipe; return its path, and `line: message` (from 1) for each fault."""
        self._count += 1
        path = self._folder / f"{self._count}.yaml"
        return path, self.open_at(path, f"{modeline(FILE)}\n{text}")

    def open_at(self, path: Path, text: str) -> list[str]:
        """Open a whole file; the line that names the schema does not count."""
        found = self._server.open(path, text)
        return [f"{fault['range']['start']['line']}: {fault['message']}" for fault in found]

    def complete(self, text: str) -> dict[str, str]:
        """Return what is offered at the `|` in a text, each with what is said of it."""
        before, after = text.split("|")
        path, _ = self.open(before + after)
        place = before.count("\n") + 1, len(before) - before.rfind("\n") - 1
        items = self._server.complete(path, *place)
        said = {label: item.get("documentation") or "" for label, item in items.items()}
        return {k: v["value"] if isinstance(v, dict) else v for k, v in said.items()}

    def hover(self, text: str) -> str:
        """Return what is shown over the place of the `|` in a text."""
        before, after = text.split("|")
        path, _ = self.open(before + after)
        place = before.count("\n") + 1, len(before) - before.rfind("\n") - 1
        return self._server.hover(path, *place)


@pytest.fixture(scope="module")
def editor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Editor]:
    program = install()
    if isinstance(program, str):
        pytest.skip(program)
    folder = tmp_path_factory.mktemp("editor")
    write_schema(folder)
    with LanguageServer(program) as server:
        yield Editor(server, folder)


def test_a_right_recipe_and_a_right_change_have_no_faults(editor: Editor) -> None:
    assert editor.open(RECIPE)[1] == []
    assert editor.open(CHANGE)[1] == []


@pytest.mark.parametrize("path", shipped_recipes(), ids=lambda path: path.name)
def test_the_recipes_that_ship_have_no_faults_where_they_lie(editor: Editor, path: Path) -> None:
    assert editor.open_at(path, path.read_text("utf-8")) == []
    misspelt = path.with_name(f"misspelt-{path.name}")  # is only ever in the editor
    text = path.read_text("utf-8") + "\nmixtre: {order: shuffle}\n"
    assert [fault.split(": ")[1] for fault in editor.open_at(misspelt, text)] == [
        "Property mixtre is not allowed."
    ]


def test_the_names_of_plugins_are_completed_after_use(editor: Editor) -> None:
    offered = editor.complete(RECIPE.replace("{use: jsonl}", "\n      use: |"))
    assert {"alpaca", "conversations", "jsonl", "natural-instructions"} <= set(offered)
    assert "lora" not in offered
    assert offered["jsonl"].startswith("Read")


def test_a_plugins_parameters_are_completed_and_no_others(editor: Editor) -> None:
    offered = editor.complete(RECIPE.replace("use: lora\n", "use: lora\n    |\n"))
    assert {"r", "alpha", "dropout", "target_modules"} <= set(offered)
    assert not {"use", "bits", "folder"} & set(offered)
    assert "Rank" in offered["r"]
    assert "Default: `16`" in offered["r"]


def test_the_choices_of_a_parameter_are_completed(editor: Editor) -> None:
    offered = editor.complete(RECIPE.replace("  use: qlora\n", "  use: qlora\n  optimizer: |\n"))
    assert {"adamw_torch", "paged_adamw_32bit"} <= set(offered)


def test_the_keys_of_a_recipe_are_completed(editor: Editor) -> None:
    offered = editor.complete(RECIPE.replace("recipe: 1\n", "recipe: 1\n|\n"))
    assert {"extends", "name", "mixture", "evaluate"} <= set(offered)


def test_a_change_is_completed_without_use(editor: Editor) -> None:
    assert {"alpha", "use"} <= set(editor.complete(CHANGE.replace("r: 8\n", "r: 8\n    |\n")))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            RECIPE.replace("use: lora", "use: lora\n    alhpa: 3"),
            "6: Property alhpa is not allowed.",
        ),
        (RECIPE.replace("data:", "dta:"), "6: Property dta is not allowed."),
        (RECIPE.replace("{use: jsonl}", "{use: jsonl, colums: {}}"), "9: Property colums is not"),
        (
            RECIPE.replace("use: lora", "use: loar"),
            '5: Value is not accepted. Valid values: "lora"',
        ),
        (RECIPE.replace("use: lora", "use: lora\n    r: many"), '6: Incorrect type. Expected "int'),
        (CHANGE.replace("r: 8", "rr: 8"), "4: Property rr is not allowed."),
    ],
)
def test_a_fault_is_flagged_at_its_line(editor: Editor, text: str, fault: str) -> None:
    faults = editor.open(text)[1]
    assert any(found.startswith(fault) for found in faults), faults
    # Nothing is said about other plugins or alternatives; a missing section is a fault of its own.
    assert len(faults) == 1 + ("dta" in text)


def test_hovering_tells_what_a_key_means(editor: Editor) -> None:
    text = editor.hover(RECIPE.replace("use: lora", "use: lora\n    dropout: 0.|1"))
    assert "adapter lora" in text
    assert "Number, at least 0 and below 1." in text
    assert "Default: `0.0`" in text
