"""The editor: the usual parser's diagnostics, what fits at a place, the estimate, and saving."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from khichdi.cli.main import main
from khichdi.compiler.language.json_schema import language_schema
from khichdi.plugins.registry import load_registry
from khichdi.project.board.completion import completions

from .conftest import RECIPE, Project

WRONG = RECIPE.replace("max-words", "max-wordz").replace("jsonl}", "jsonl, colum: x}")
SCHEMA = language_schema(load_registry())


def checked(project: Project, text: str, name: str = "small.yaml", **options: Any) -> Any:
    headers = {"accept": "application/json"}
    form = {"name": name, "text": text}
    return project.client(**options).post("/recipes/check", data=form, headers=headers).json()


def test_diagnostics_are_those_of_the_command_line(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    (project.folder / "small.yaml").write_text(WRONG)
    assert main(["validate", "./small.yaml", "--json"]) == 2
    told = json.loads(capsys.readouterr().out)
    assert checked(project, WRONG) == told
    assert [one["suggestion"] for one in told["diagnostics"]].count(
        "did you mean `max-words`?"
    ) == 1


def test_the_text_is_checked_and_not_the_file(project: Project) -> None:
    assert checked(project, RECIPE)["valid"]
    assert not checked(project, WRONG)["valid"]
    assert checked(project, RECIPE, name="not-there.yaml")["valid"]
    page = project.client().post("/recipes/check", data={"name": "small.yaml", "text": WRONG}).text
    assert re.search(r'data-line="\d+" data-column="\d+"', page)
    assert "<code>max-wordz</code>" in page
    missing = RECIPE.replace("one.jsonl", "none.jsonl")
    assert checked(project, missing)["warnings"][0]["code"] == "no-file"


@pytest.mark.parametrize(
    "text", ["", "\x00", "recipe", "[", "a: &a\n", "- 1", "recipe: 99\n", "{" * 500, "é\u202e: 1"]
)
def test_no_text_is_a_fault(project: Project, text: str) -> None:
    found = checked(project, text)
    assert not found["valid"]
    assert found["diagnostics"][0]["line"] >= 1


def test_what_a_recipe_extends_is_read_in_the_folder_and_nowhere_else(project: Project) -> None:
    outside = project.folder.parent / "outside.yaml"
    outside.write_text("recipe: 1\nsecret-word: [\n")
    (project.folder / "link.yaml").symlink_to(outside)
    assert checked(project, "extends: small.yaml\nname: other\n", "other.yaml")["valid"]
    for name in ("../outside.yaml", str(outside), "link.yaml", "/etc/passwd"):
        found = checked(project, f"extends: {name}\nname: other\n", "other.yaml")
        assert not found["valid"]
        assert "secret-word" not in json.dumps(found)
        assert "lies outside" in found["diagnostics"][0]["message"]


PLUGIN = """\
from pathlib import Path
Path("was-run").write_text("yes")
"""


@pytest.mark.parametrize("write", [False, True])
def test_plugin_files_are_run_only_by_a_board_that_may_write(project: Project, write: bool) -> None:
    (project.folder / "mine.py").write_text(PLUGIN)
    text = RECIPE + "plugins: [./mine.py]\n"
    (project.folder / "small.yaml").write_text(text)
    found = checked(project, text, write=write)
    client = project.client(write=write)
    client.get("/recipes/own/small.yaml")
    client.get("/diff?a=small.yaml&b=quickstart.yaml")
    client.post("/recipes/estimate", data={"name": "small.yaml", "text": text})
    assert (project.folder / "was-run").exists() == write
    if not write:
        assert "is not run" in found["diagnostics"][0]["message"]
        assert "--write" in found["diagnostics"][0]["suggestion"]


def test_an_estimate_has_the_plan_and_what_is_known(project: Project) -> None:
    client = project.client()
    form = {"name": "small.yaml", "text": RECIPE}
    before = client.post("/recipes/estimate", data=form, headers={"hx-request": "true"}).text
    assert "data/one/filter/max-words" in before
    assert "to run" in before
    assert "<html" not in before
    project.run()
    after = client.post("/recipes/estimate", data=form).text
    assert "<html" in after
    assert "cached" in after
    wrong = client.post("/recipes/estimate", data={**form, "text": WRONG}).text
    assert "max-wordz" in wrong


# ---- saving -----------------------------------------------------------------------------------


def digest_of(page: str) -> str:
    found = re.search(r'name="digest" value="([^"]*)"', page)
    assert found
    return found[1]


def text_of(page: str) -> str:
    from html import unescape

    found = re.search(r"<textarea[^>]*>\n(.*?)</textarea>", page, re.DOTALL)
    assert found
    return unescape(found[1])


def test_a_recipe_is_saved_as_it_was_typed(project: Project) -> None:
    text = RECIPE + '# <b>&amp; "\t\u202e é 𝄞</textarea>\n\n'
    (project.folder / "small.yaml").write_text(text)
    client = project.client(write=True)
    page = client.get("/recipes/own/small.yaml").text
    assert text_of(page) == text
    sent = text.replace("\n", "\r\n")  # as browsers do
    form = {"name": "small.yaml", "text": sent, "digest": digest_of(page)}
    answer = client.post("/recipes/save", data=form)
    assert answer.headers["location"] == "/recipes/own/small.yaml?saved"
    assert (project.folder / "small.yaml").read_text() == text
    assert "Saved." in client.get(answer.headers["location"]).text


def test_a_file_that_has_changed_since_is_not_overwritten(project: Project) -> None:
    client = project.client(write=True)
    digest = digest_of(client.get("/recipes/own/small.yaml").text)
    (project.folder / "small.yaml").write_text(RECIPE + "# by another hand\n")
    form = {"name": "small.yaml", "text": "mine: 1\n", "digest": digest}
    answer = client.post("/recipes/save", data=form)
    assert answer.status_code == 409
    assert "has changed since it was opened" in answer.text
    assert text_of(answer.text) == "mine: 1\n"
    assert "by another hand" in (project.folder / "small.yaml").read_text()
    new = client.post("/recipes/save", data={**form, "digest": ""})
    assert new.status_code == 409
    assert "is there already" in new.text


@pytest.mark.parametrize(
    "name",
    ["../x.yaml", "/tmp/x.yaml", ".hidden.yaml", "a/.b/c.yaml", "x.py", "", "x", "a\n.yaml",
     "link/x.yaml", ".khichdi/x.yaml", "none/x.yaml", "a\x00.yaml"],
)  # fmt: skip
def test_nothing_is_saved_outside_the_folder(project: Project, name: str, tmp_path: Path) -> None:
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.mkdir()
    (project.folder / "link").symlink_to(outside)
    (project.folder / "a").mkdir()
    before = sorted(project.folder.rglob("*"))
    form = {"name": name, "text": "recipe: 1\n", "digest": ""}
    answer = project.client(write=True).post("/recipes/save", data=form)
    assert answer.status_code == 400
    assert sorted(project.folder.rglob("*")) == before
    assert not list(outside.iterdir())


def test_a_new_recipe_is_saved_below_the_folder(project: Project) -> None:
    (project.folder / "mine").mkdir()
    client = project.client(write=True)
    page = client.get("/recipes/new").text
    form = {"name": "mine/new.yaml", "text": text_of(page), "digest": digest_of(page)}
    assert client.post("/recipes/save", data=form).status_code == 303
    assert "mine/new.yaml" in client.get("/recipes").text


def test_recipes_that_ship_are_shown_and_never_written(project: Project) -> None:
    client = project.client(write=True)
    page = client.get("/recipes/shipped/quickstart.yaml").text
    assert " readonly>" in page
    assert "recipe new mine --from quickstart" in page
    form = {"name": "quickstart.yaml", "shipped": "yes", "text": "x", "digest": ""}
    assert client.post("/recipes/save", data=form).status_code in (400, 403, 409)
    assert client.post("/recipes/estimate", data=form).status_code == 200
    assert client.get("/recipes/shipped/..%2fschema%2fx.yaml").status_code in (400, 404)


# ---- what fits at a place ---------------------------------------------------------------------

TEXT = """\
recipe: 1
name: capitals
model:
  base: {use: huggingface, repo: x, |1}
  adapter: {use: |2lora}
  |3
data:
  capitals:
    source:
      use: files
      |4
    filters:
      - {use: max-words, |5}
      - use: max-words
        |6
    |7
train:
  use: qlora
  template: {use: |8}
  |9
|0
"""
FITS = {
    "0": ("the top of the recipe", {"mixture", "evaluate", "seed"}, {"name", "model", "use"}),
    "1": ("model.base", {"revision"}, {"repo", "use", "include_x"}),
    "2": ("plugins of model.adapter", {"lora", "vera"}, {"qlora"}),
    "3": ("model", {"quantization", "tokens"}, {"base", "adapter", "data"}),
    "4": ("data.capitals.source", {"include", "folder"}, {"use", "repo"}),
    "5": ("data.capitals.filters", {"fields", "below"}, {"use", "source"}),
    "6": ("data.capitals.filters", {"fields", "below"}, {"use", "source"}),
    "7": ("data.capitals", {"read", "sample", "score"}, {"source", "filters", "model"}),
    "8": ("plugins of train.template", {"alpaca"}, {"lora"}),
    "9": ("train", {"learning_rate", "num_epochs"}, {"use", "template", "data"}),
}


@pytest.mark.parametrize("mark", FITS)
def test_what_fits_at_a_place(mark: str) -> None:
    at = re.sub(r"\|[^\d]|\|(?!" + mark + r")\d", "", TEXT).index(f"|{mark}")
    found = completions(SCHEMA, re.sub(r"\|\d", "", TEXT), at)
    where, there, absent = FITS[mark]
    assert found is not None
    words = {one.word for one in found.words}
    assert found.where == where
    assert there <= words
    assert not absent & words


def test_no_place_of_any_text_is_a_fault() -> None:
    for text in (TEXT, RECIPE, "{{{}}}", "- - - {", "use: use: use:", "\t\n\r\n {", "é: {use: 𝄞"):
        for at in range(-1, len(text) + 2):
            completions(SCHEMA, text, at)


def test_what_fits_is_shown_beside_the_text(project: Project) -> None:
    text = "recipe: 1\nmodel:\n  adapter: {use: }\n"
    form = {"name": "x.yaml", "text": text, "place": str(text.index("}"))}
    page = project.client().post("/recipes/check", data=form).text
    assert 'data-insert="lora"' in page
    assert "plugins of model.adapter" in page
