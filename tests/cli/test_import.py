"""`recipe import`: the recipe on standard output, the report beside it, the exit status."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from khichdi.cli.main import main

ZIGGURAT = Path(__file__).parents[1] / "compiler" / "imports" / "ziggurat"
LLAMA_FACTORY = """\
model_name_or_path: mistralai/Mistral-7B-v0.1
dataset: own
template: llama3
"""


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    status = main(list(words))
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_recipe_goes_out_and_the_report_beside_it(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = str(ZIGGURAT / "Mistral-02.yml")
    status, out, err = said(capsys, "import", "axolotl", config)
    assert status == 0
    assert out.startswith("# From Mistral-02.yml, a configuration of axolotl.\n\nrecipe: 1\n")
    assert err.rstrip().endswith("27 keys mapped, 32 inert, 0 not mapped")
    assert "lora_r = 32" in err
    assert "-> model.adapter.r = 32" in err
    (here / "mine.yaml").write_text(out, encoding="utf-8")
    assert said(capsys, "validate", "mine.yaml")[0] == 0
    # What is printed is laid out as `recipe fmt` does it.
    assert said(capsys, "fmt", "--check", "mine.yaml")[0] == 0
    assert said(capsys, "diff", "mine.yaml", "ziggurat-mistral-02")[0] == 0
    assert "name: mistral-7b-v0.1-open-otter\n" in out


def test_standard_input(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = (ZIGGURAT / "Mistral-02.yml").read_bytes()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(raw)))
    status, out, err = said(capsys, "import", "axolotl", "-", "-q")
    assert (status, err.splitlines()[-1]) == (
        0, "standard input: 27 keys mapped, 32 inert, 0 not mapped"
    )  # fmt: skip
    assert out.startswith("# From standard input, a configuration of axolotl.")


def test_a_folder_is_imported_file_by_file(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = here / "configs"
    folder.mkdir()
    (folder / "a.yml").write_bytes((ZIGGURAT / "Mistral-02.yml").read_bytes())
    status, out, _ = said(capsys, "import", "axolotl", "configs", "-o", "recipes")
    assert (status, out.split()[:2]) == (0, ["a.yml", "whole"])
    assert said(capsys, "validate", "recipes/a.yaml")[0] == 0
    (folder / "b.yml").write_text("base_model: a/b\nrl: dpo\n", encoding="utf-8")
    status, out, _ = said(capsys, "import", "axolotl", "configs", "-o", "more")
    assert status == 1
    assert out.splitlines()[1].split()[:2] == ["b.yml", "refused"]
    assert sorted(path.name for path in (here / "more").iterdir()) == ["a.yaml"]


def test_a_comment_may_hold_what_looks_like_a_secret(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (ZIGGURAT / "Mistral-02.yml").read_text()
    (here / "c.yml").write_text(text + "# export SWANLAB_API_KEY=abcdefghij0123456789\n")
    assert said(capsys, "import", "axolotl", "c.yml", "-q")[0] == 0
    (here / "d.yml").write_text(text + "api_key: sk-abcdefghij0123456789abcdefghij\n")
    assert said(capsys, "import", "axolotl", "d.yml", "-q")[0] == 2


def test_output_and_name(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["import", "axolotl", str(ZIGGURAT / "Mistral-01.yml"), "-o", "a.yaml", "--name", "a"]
    status, out, _ = said(capsys, *words)
    assert (status, out) == (0, "wrote a.yaml\nnext: recipe lock a.yaml\n")
    assert "name: a\n" in (here / "a.yaml").read_text()
    before = (here / "a.yaml").read_bytes()
    status, _, err = said(capsys, *words)
    assert status == 2
    assert "exists already" in err
    assert (here / "a.yaml").read_bytes() == before


def test_what_is_not_mapped_has_its_place_and_status_1(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (ZIGGURAT / "Mistral-02.yml").read_text() + "lora_rr: 8\n"
    (here / "c.yml").write_text(text, encoding="utf-8")
    status, out, err = said(capsys, "import", "axolotl", "c.yml", "-q")
    assert status == 1
    line = len(text.splitlines())
    assert f"c.yml:{line}:1: not mapped: lora_rr = 8" in err
    assert "did you mean `lora_r`?" in err
    assert "-> model.adapter.r" not in err
    assert "recipe: 1" in out


def test_json_is_one_document_with_the_three_lists(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = said(
        capsys, "import", "axolotl", str(ZIGGURAT / "Llama-2-7b-03.yml"), "--json"
    )
    assert (status, err) == (0, "")
    document = json.loads(out)
    assert document["complete"] is True
    assert document["recipe"].startswith("# From Llama-2-7b-03.yml")
    assert [len(document[part]) for part in ("mapped", "inert", "not_mapped")] == [27, 31, 0]
    entry = next(entry for entry in document["mapped"] if entry["key"] == "lora_alpha")
    assert entry["ours"] == {"model.adapter.alpha": 16}
    assert (entry["line"], entry["column"]) == (25, 1)


def test_a_value_that_the_language_refuses_is_told(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (ZIGGURAT / "Llama-2-7b-03.yml").read_text()
    (here / "c.yml").write_text(text.replace("sequence_len: 4096", "sequence_len: 8192"))
    status, _, err = said(capsys, "import", "axolotl", "c.yml", "-q")
    assert status == 1
    assert "the recipe is not valid yet" in err
    assert "made for 4,096 positions" in err


def test_llama_factorys_data_sets_are_found_by_their_descriptions(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "c.yml").write_text(LLAMA_FACTORY, encoding="utf-8")
    assert said(capsys, "import", "llama-factory", "c.yml")[0] == 1
    info = json.dumps({"own": {"file_name": "own.jsonl"}})
    (here / "data").mkdir()
    (here / "data" / "dataset_info.json").write_text(info)
    status, out, _ = said(capsys, "import", "llama-factory", "c.yml")
    assert status == 0
    assert "include: [own.jsonl]" in out
    (here / "broken.json").write_text("{")
    words = ("import", "llama-factory", "c.yml", "--dataset-info", "broken.json")
    assert said(capsys, *words)[0] == 2


@pytest.mark.parametrize(
    ("text", "said_of_it"),
    [("a: &x 1\nb: *x\n", "anchors and aliases"), ("a: [\n", "not YAML"), ("", "is empty")],
)
def test_a_file_that_cannot_be_read_is_refused_in_a_sentence(
    text: str, said_of_it: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "c.yml").write_text(text, encoding="utf-8")
    for tool in ("axolotl", "llama-factory", "trl"):
        status, _, err = said(capsys, "import", tool, "c.yml")
        assert status == 2
        assert said_of_it in err
        assert "Traceback" not in err


def test_a_file_that_is_not_there(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = said(capsys, "import", "axolotl", "quickstart")
    assert status == 2
    assert "quickstart" in err


def test_every_recipe_of_the_family_is_in_canonical_layout(
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = Path(__file__).parents[2] / "recipes"
    family = [*folder.glob("ziggurat-*.yaml"), folder / "ziggurat" / "common.yaml"]
    assert len(family) == 7
    assert said(capsys, "fmt", "--check", *map(str, family))[0] == 0
