"""`recipe diff` and `recipe show --origin` in real repositories, as a person uses them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from khichdi.cli.main import main

RECIPE = """\
recipe: 1
name: mine
seed: 5
model:
  base: {use: files, folder: base, include: ["*"]}
  adapter: {use: lora, r: 8}
data:
  rows:
    source: {use: files, include: [rows.jsonl]}
    read: {use: jsonl}
mixture: {validation: {count: 2}}
train: {use: qlora, template: {use: alpaca}, learning_rate: 1.0e-3}
"""
DOCS = Path(__file__).parents[2] / "docs" / "diff.md"


def git(*words: str) -> str:
    who = ["-c", "user.name=Birbal", "-c", "user.email=birbal@example.org"]
    done = subprocess.run(["git", *who, *words], capture_output=True, text=True, check=True)
    return done.stdout


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    status = main(list(words))
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def asked(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    status, out, err = said(capsys, *words, "--json")
    assert status in (0, 1), err
    document: dict[str, Any] = json.loads(out)
    assert document["same"] == (status == 0)
    return document


def changed_lines(diff: str) -> list[str]:
    return [line for line in diff.splitlines() if re.match(r"[+-](?![+-])", line)]


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working folder: a repository with a family of recipes in it, committed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "family").mkdir()
    (tmp_path / "family" / "parent.yaml").write_text(RECIPE)
    (tmp_path / "child.yaml").write_text("extends: family/parent.yaml\nseed: 6\n")
    git("init", "-q", "-b", "main")
    git("add", "-A")
    git("commit", "-qm", "first")
    return tmp_path


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_revision_is_compared_with_all_that_it_extended_then(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(repository / "family" / "parent.yaml", "r: 8", "r: 16")
    assert asked(capsys, "diff", "child.yaml", "child.yaml")["same"]
    found = asked(capsys, "diff", "HEAD:child.yaml", "child.yaml")
    assert [(c["path"], c["before"], c["after"]) for c in found["changes"]] == [
        ("model.adapter.r", 8, 16)
    ]
    assert found["causes"] == {"train": "its adapter's parameters (r)"}
    git("add", "-A")
    assert asked(capsys, "diff", ":child.yaml", "child.yaml")["same"]
    git("commit", "-qm", "second")
    assert not asked(capsys, "diff", "HEAD~1:child.yaml", "HEAD:child.yaml")["same"]
    assert asked(capsys, "diff", "main:child.yaml", "child.yaml")["same"]
    assert git("status", "--porcelain") == ""


def test_a_revision_has_its_own_lock(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (repository / "base").mkdir()
    (repository / "base" / "weights").write_text("1")
    (repository / "rows.jsonl").write_text("{}\n")
    for path in ("base", "rows.jsonl"):
        (repository / path).rename(repository / "family" / path)
    assert said(capsys, "lock", "child.yaml", "-q")[0] == 0
    git("add", "-A")
    git("commit", "-qm", "locked")
    (repository / "family" / "rows.jsonl").write_text("{} \n")
    assert said(capsys, "lock", "child.yaml", "--update", "all", "-q")[0] == 0
    found = asked(capsys, "diff", "HEAD:child.yaml", "child.yaml")
    assert [change["path"] for change in found["changes"]] == ["bytes of data/rows/source"]
    assert found["causes"]["data/rows/source"] == "its bytes"
    assert found["changes"][0]["files"] == [{"path": "rows.jsonl", "before": 3, "after": 4}]
    _, out, _ = said(capsys, "diff", "HEAD:child.yaml", "child.yaml")
    assert out.startswith("bytes of data/rows/source  rows.jsonl changed (3 B -> 4 B)\n")
    assert found["causes"]["data/rows/read"] == "its input data/rows/source"
    assert "base" not in found["reruns"]


def test_paths_are_seen_from_the_root_or_from_here(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(repository / "family")
    assert said(capsys, "diff", "HEAD:./parent.yaml", "parent.yaml")[0] == 0
    assert said(capsys, "diff", "HEAD:family/parent.yaml", "parent.yaml")[0] == 0
    assert said(capsys, "diff", "HEAD:./../child.yaml", "../child.yaml")[0] == 0
    status, _, err = said(capsys, "diff", "HEAD:parent.yaml", "parent.yaml")
    assert status == 2
    assert "HEAD:./parent.yaml" in err


def test_what_git_does_not_have_is_said(
    repository: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    status, _, err = said(capsys, "diff", "HEAD~9:child.yaml", "child.yaml")
    assert (status, "no revision `HEAD~9`" in err) == (2, True)
    edit(repository / "child.yaml", "family/parent.yaml", "family/other.yaml")
    git("commit", "-qam", "broken")
    (repository / "family" / "other.yaml").write_text(RECIPE)
    status, _, err = said(capsys, "diff", "HEAD:child.yaml", "child.yaml")
    assert (status, "HEAD:family/other.yaml" in err) == (2, True)
    monkeypatch.chdir(tmp_path_factory.mktemp("nowhere"))
    status, _, err = said(capsys, "diff", "HEAD:child.yaml", "quickstart")
    assert (status, "in no repository" in err) == (2, True)


def test_a_fault_at_a_revision_is_placed_there(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(repository / "family" / "parent.yaml", "r: 8", "r: no")
    git("commit", "-qam", "broken")
    edit(repository / "family" / "parent.yaml", "r: no", "r: 8")
    status, _, err = said(capsys, "diff", "HEAD:child.yaml", "child.yaml")
    assert status == 2
    assert err.startswith("HEAD:family/parent.yaml:6:")


def test_a_value_set_is_a_difference_from_the_file(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = said(
        capsys, "diff", "child.yaml", "--set", "train.max_grad_norm=0.3", "--set", "seed=6"
    )
    assert status == 1
    assert out.splitlines()[0] == "train.max_grad_norm  1.0 (default) -> 0.3"
    assert "reruns 1 of 8 steps:" in out
    assert "train  its parameters (max_grad_norm)" in out
    both = asked(capsys, "diff", "child.yaml", "family/parent.yaml", "--set", "seed=6")
    assert both["same"]
    assert said(capsys, "diff", "child.yaml")[0] == 2
    assert said(capsys, "diff")[0] == 2


def test_the_git_driver_shows_changes_of_meaning_only(
    repository: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The set-up of the documentation, in a repository: word for word but for the program."""
    attributes = re.search(r"^\*\.yaml .*$", DOCS.read_text(), re.MULTILINE)
    driver = re.search(r'^git config (\S+) "(.+)"$', DOCS.read_text(), re.MULTILINE)
    assert attributes
    assert driver
    (repository / ".gitattributes").write_text(attributes[0] + "\n")
    program = driver[2].replace("recipe ", f"{sys.executable} -m khichdi.cli ")
    git("config", driver[1], program)
    parent = repository / "family" / "parent.yaml"
    lines = RECIPE.splitlines(keepends=True)
    reordered = ["# why\n", lines[0], *lines[2:3], *lines[6:], *lines[1:2], *lines[3:6]]
    text = "".join(reordered).replace("count: 2", "count: 0x2").replace("r: 8", "r: 8, bias: none")
    parent.write_bytes(text.replace("\n", "\r\n").encode())
    git("add", "-A")
    git("commit", "-qm", "only looks different")
    assert "parent.yaml" in git("diff", "--stat", "HEAD~1")
    shown = git("diff", "HEAD~1", "--", "family")
    assert changed_lines(shown) == []
    parent.write_text(text.replace("1.0e-3", "2.0e-3"))
    edit(repository / "child.yaml", "seed: 6", "seed: 7")
    (repository / "other.yaml").write_text("a: [1\n")
    git("add", "-A")
    git("commit", "-qm", "another value")
    assert changed_lines(git("show")) == [
        "-seed: 6",
        "+seed: 7",
        "-train.learning_rate: 0.001",
        "+train.learning_rate: 0.002",
        "+a: [1",
    ]
    # A revision is read as git keeps it, not as the driver shows it.
    found = asked(capsys, "diff", "HEAD~1:child.yaml", "HEAD:child.yaml")
    assert [change["path"] for change in found["changes"]] == ["seed", "train.learning_rate"]


def test_origins_name_file_and_line_of_each_value(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["show", "child.yaml", "--origin", "--set", "train.warmup_steps=3"]
    status, out, _ = said(capsys, *words)
    assert status == 0
    beside = {}
    for line in out.splitlines():
        text, _, origin = line.partition("  # ")
        beside[text.strip()] = origin
    assert beside["seed: 6"] == "child.yaml:2"
    assert beside["learning_rate: 0.001"] == "family/parent.yaml:12"
    assert beside["warmup_steps: 3"] == "--set train.warmup_steps=3"
    assert beside["max_grad_norm: 1.0"] == "default"
    assert beside["train:"] == ""
    columns = {line.index("  # ") for line in out.splitlines() if "  # " in line}
    assert len(columns) == 1
    status, out, _ = said(capsys, *words, "--json")
    document = json.loads(out)
    assert document["origins"]["train.learning_rate"]["line"] == 12
    assert document["origins"]["train.max_grad_norm"] == {
        "file": None, "line": None, "default": True
    }  # fmt: skip
    assert document["recipe"]["train"]["warmup_steps"] == 3


def test_a_part_of_a_recipe_is_shown_alone(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said(capsys, "show", "child.yaml", "mixture.validation")[1] == (
        "validation:\n  count: 2\n  fraction: null\n  group_by: []\n"
    )
    status, _, err = said(capsys, "show", "child.yaml", "train.learning_rte")
    assert (status, "did you mean `learning_rate`" in err) == (2, True)


def test_the_examples_of_the_documentation_are_real(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(
        "extends: quickstart\ntrain: {max_grad_norm: 0.3}\n"
        "data: {tasks: {sample: {use: random, count: 100}}}\n"
    )
    blocks = re.findall(r"(?m)^    \$ recipe (.*)\n((?:    .*\n|\n(?=    ))+)", DOCS.read_text())
    assert [command for command, _ in blocks][:2] == [
        "diff quickstart.yaml mine.yaml",
        "validate quickstart --set train.lerning_rate=1",
    ]
    for command, shown in blocks[:2]:
        expected = [line.removeprefix("    ") for line in shown.splitlines()]
        if expected[-1].strip() == "…":
            del expected[-1]
        out = said(capsys, *command.split())[1].splitlines()
        assert out[: len(expected)] == expected
