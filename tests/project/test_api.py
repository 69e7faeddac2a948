"""The Python API: what `import khichdi` gives."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import khichdi
from khichdi.schema.errors import InputError, LockError, RecipeError

QUICKSTART = "sha256:0e026890f36f8acf6b06b5500924e769ebe88271b1f0b86bd3967bc8228f9540"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("KHICHDI_STORE", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_public_name_is_there_and_no_module_is_loaded_before_it_is_used() -> None:
    script = """
import json, sys, khichdi
loaded = [name for name in sys.modules if name.startswith("khichdi.")]
listed = set(dir(khichdi)) >= set(khichdi.__all__)
there = [name for name in khichdi.__all__ if getattr(khichdi, name) is not None]
heavy = [name for name in ("torch", "pyarrow", "rich") if name in sys.modules]
print(json.dumps([loaded, listed, there == khichdi.__all__, heavy]))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == [[], True, True, []]


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'train'"):
        khichdi.train  # type: ignore[attr-defined]  # noqa: B018


def test_a_project_has_the_recipe_its_plan_and_its_hash(folder: Path) -> None:
    project = khichdi.open_recipe("quickstart")
    assert project.recipe_hash == QUICKSTART
    assert project.locked
    assert project.recipe.train.use == "qlora"
    assert project.store == folder / ".khichdi"
    assert project.pending() == [step.name for step in project.plan.steps]
    assert not project.store.exists()


def test_settings_are_a_mapping_or_texts(folder: Path) -> None:
    mapping = khichdi.open_recipe("quickstart", settings={"train.learning_rate": 1e-5})
    texts = khichdi.open_recipe("quickstart", settings=["train.learning_rate=1.0e-5"])
    one = khichdi.open_recipe("quickstart", settings="train.learning_rate=1.0e-5")
    assert mapping.recipe.train.params()["learning_rate"] == 1e-5
    assert mapping.recipe_hash == texts.recipe_hash == one.recipe_hash != QUICKSTART


def test_all_errors_are_reported_at_once(folder: Path) -> None:
    wrong = {"model.adapter.rank": 8, "train.num_epochs": -1}
    found = khichdi.validate("quickstart", settings=wrong)
    assert not found.valid
    assert [error.code for error in found.errors] == ["unknown-key", "wrong-value"]
    with pytest.raises(RecipeError) as caught:
        khichdi.open_recipe("quickstart", settings=wrong)
    assert tuple(caught.value.diagnostics) == found.errors
    assert khichdi.validate("quickstart").valid


def test_pinning_can_be_refused_and_the_lock_is_written_when_asked_for(folder: Path) -> None:
    class Notes(khichdi.Observer):
        def __init__(self) -> None:
            self.notices: list[str] = []

        def notice(self, text: str) -> None:
            self.notices.append(text)

    from khichdi.project.new_recipe import new_recipe

    new_recipe("mine", "quickstart")
    project = khichdi.open_recipe("mine.yaml")
    assert not project.locked
    with pytest.raises(LockError, match="the lock lacks"):
        project.run(locked=True)
    notes = Notes()
    project.lock(notes)
    assert project.locked
    assert project.lock_file == folder / "mine.lock"
    assert khichdi.open_recipe("mine.yaml").recipe_hash == project.recipe_hash
    assert [text.split()[0] for text in notes.notices] == ["pinning", "pinning"]
    with pytest.raises(InputError, match="there is no source or plugin file `nope`"):
        project.lock(update=["nope"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"nonce": "3"}, "--nonce decides"),
        ({"segments": 0}, "at least 1"),
        ({"segments": 1, "rerun": True}, "leave out"),
        ({"level": "nope"}, "no level `nope`"),
        ({"calibration": "own"}, "nothing is run again"),
    ],
)
def test_arguments_of_an_audit_that_contradict_each_other_are_refused(
    arguments: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        khichdi.audit("latest", **arguments)  # type: ignore[arg-type]


def test_a_run_that_is_not_there_is_an_error_with_a_hint(folder: Path) -> None:
    with pytest.raises(khichdi.KhichdiError, match="no finished run latest") as caught:
        khichdi.open_run()
    assert caught.value.hint == f"no runs in {folder / '.khichdi'}"
