"""`recipe fmt` and `recipe migrate`: files in place, checks, diffs, pipes; and the git hooks."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from khichdi.cli.main import main
from khichdi.compiler.language.migrations import MIGRATIONS

ROOT = Path(__file__).parents[2]
UGLY = 'seed:   7 # lucky\nrecipe: 1\nname: "mine"\n'
NEAT = "recipe: 1\nname: mine\nseed: 7 # lucky\n"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_fmt_rewrites_in_place_and_says_what(capsys: pytest.CaptureFixture[str]) -> None:
    Path("ugly.yaml").write_text(UGLY)
    Path("neat.yaml").write_text(NEAT)
    assert main(["fmt", "ugly.yaml", "neat.yaml"]) == 0
    assert Path("ugly.yaml").read_text() == NEAT
    assert capsys.readouterr().out == "formatted ugly.yaml\n1 of 2 recipes formatted\n"
    assert main(["fmt", "ugly.yaml", "neat.yaml"]) == 0
    assert capsys.readouterr().out == "2 recipes are as they should be\n"


def test_fmt_check_names_the_files_and_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    Path("ugly.yaml").write_text(UGLY)
    Path("neat.yaml").write_text(NEAT)
    assert main(["fmt", "--check", "ugly.yaml", "neat.yaml"]) == 1
    out = capsys.readouterr().out
    assert "would be formatted: ugly.yaml" in out
    assert "neat.yaml" not in out
    assert Path("ugly.yaml").read_text() == UGLY
    assert main(["fmt", "--check", "neat.yaml"]) == 0


@pytest.mark.parametrize("text", [UGLY, UGLY.rstrip("\n"), NEAT.rstrip("\n")])
def test_fmt_diff_can_be_applied(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("ugly.yaml").write_text(text)
    assert main(["fmt", "--diff", "ugly.yaml"]) == 1
    assert Path("ugly.yaml").read_text() == text
    diff = capsys.readouterr().out
    assert "--- ugly.yaml\n+++ ugly.yaml\n" in diff
    done = subprocess.run(["git", "apply", "-p0", "-"], input=diff, text=True)
    assert done.returncode == 0
    assert Path("ugly.yaml").read_text() == NEAT


def test_fmt_keeps_the_mode_and_the_link() -> None:
    Path("real.yaml").write_text(UGLY)
    Path("real.yaml").chmod(0o640)
    Path("link.yaml").symlink_to("real.yaml")
    assert main(["fmt", "link.yaml"]) == 0
    assert Path("link.yaml").is_symlink()
    assert Path("real.yaml").read_text() == NEAT
    assert Path("real.yaml").stat().st_mode & 0o777 == 0o640
    assert sorted(os.listdir()) == ["link.yaml", "real.yaml"]


@pytest.mark.parametrize(
    "raw", [UGLY.replace("\n", "\r\n").encode(), b"\xef\xbb\xbf" + NEAT.encode()]
)
def test_fmt_writes_plain_line_ends_and_no_mark(raw: bytes) -> None:
    Path("a.yaml").write_bytes(raw)
    assert main(["fmt", "--check", "a.yaml"]) == 1
    assert main(["fmt", "a.yaml"]) == 0
    assert Path("a.yaml").read_bytes() == NEAT.encode()


def test_fmt_reads_a_pipe(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(UGLY.encode())))
    assert main(["fmt", "-"]) == 0
    assert capsys.readouterr().out == NEAT


BROKEN = {
    b"recipe: 1\nname: a\nname: b\n": (3, 1, "twice"),
    b"recipe: 1\na: &x 1\n": (2, 4, "anchors"),
    b"recipe: [\n": (1, 9, "not YAML"),
    b"- 1\n": (1, 1, "this is a list"),
    b"services: {web: {image: nginx}}\n": (1, 1, "this is not a recipe"),
    b"recipe: 9\n": (1, 9, "version 9"),
    b"recipe: 0\n": (1, 9, "version 0"),
    b"name: \xff\n": (1, 7, "UTF-8"),
}


@pytest.mark.parametrize("raw", BROKEN, ids=range(len(BROKEN)))
def test_fmt_leaves_what_is_no_recipe_as_it_is(
    raw: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    line, column, word = BROKEN[raw]
    Path("bad.yaml").write_bytes(raw)
    Path("ugly.yaml").write_text(UGLY)
    assert main(["fmt", "bad.yaml", "ugly.yaml"]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"bad.yaml:{line}:{column}: ")
    assert word in err
    assert Path("bad.yaml").read_bytes() == raw
    assert Path("ugly.yaml").read_text() == NEAT


def test_a_name_that_is_no_file_is_not_one_that_ships(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fmt", "quickstart.yaml"]) == 2
    assert "there is no recipe" in capsys.readouterr().err


def test_json_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    Path("ugly.yaml").write_text(UGLY)
    Path("bad.yaml").write_text("a: &x 1\n")
    assert main(["fmt", "--check", "ugly.yaml", "bad.yaml", "--json"]) == 2
    said = json.loads(capsys.readouterr().out)
    assert said["changed"] == ["ugly.yaml"]
    assert said["diagnostics"][0]["line"] == 1


def test_migrate_rewrites_old_recipes_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(MIGRATIONS, 0, lambda edit: edit.rename(edit.root, "title", "name"))
    old = NEAT.replace("recipe: 1", "recipe: 0").replace("name:", "title:")
    Path("old.yaml").write_text(old)
    Path("ugly.yaml").write_text(UGLY)
    assert main(["migrate", "--check", "old.yaml", "ugly.yaml"]) == 1
    assert Path("old.yaml").read_text() == old
    assert main(["fmt", "old.yaml"]) == 2
    assert "`recipe migrate` upgrades it to this version" in capsys.readouterr().err
    assert main(["migrate", "old.yaml", "ugly.yaml"]) == 0
    assert "line 2: title -> name" in capsys.readouterr().out
    assert Path("old.yaml").read_text() == NEAT
    assert Path("ugly.yaml").read_text() == UGLY
    assert main(["migrate", "--check", "old.yaml"]) == 0


@pytest.mark.slow
def test_the_hooks_work_in_a_real_repository(tmp_path: Path) -> None:
    def call(*words: str, cwd: Path = tmp_path) -> subprocess.CompletedProcess[str]:
        plain = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
        environment = {**plain, "PRE_COMMIT_HOME": str(tmp_path / "cache")}
        return subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True)

    def repository(folder: Path) -> None:
        call("git", "init", "-q", cwd=folder)
        call("git", "add", "-A", cwd=folder)
        name = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        assert call("git", *name, "commit", "-qm", "all", cwd=folder).returncode == 0

    tools = tmp_path / "tools"
    venv.create(tools, with_pip=True)
    if call(str(tools / "bin" / "pip"), "install", "-q", "pre-commit").returncode:
        pytest.skip("pre-commit cannot be installed from the package index")
    product = tmp_path / "khichdi"
    tracked = call("git", "ls-files", "-co", "--exclude-standard", cwd=ROOT).stdout.splitlines()
    for file in tracked:
        linked = (ROOT / file).is_symlink()  # the package is links to the folders at the top
        if not file.startswith("tests/") and (linked or (ROOT / file).is_file()):
            (product / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / file, product / file, follow_symlinks=False)
    repository(product)
    revision = call("git", "rev-parse", "HEAD", cwd=product).stdout.strip()
    theirs = tmp_path / "theirs"
    (theirs / "recipes" / "parts").mkdir(parents=True)
    hooks = "[{id: recipe-fmt}, {id: recipe-validate}]"
    (theirs / ".pre-commit-config.yaml").write_text(
        f"repos:\n- {{repo: {product}, rev: {revision}, hooks: {hooks}}}\n"
    )
    (theirs / "compose.yaml").write_text("services:   {}\n")
    (theirs / "recipes" / "parts" / "seed.yaml").write_text(UGLY)
    (theirs / "recipes" / "mine.yaml").write_text(
        (ROOT / "recipes" / "quickstart.yaml").read_text()
    )
    repository(theirs)
    pre_commit = (str(tools / "bin" / "pre-commit"), "run", "--all-files")
    first = call(*pre_commit, cwd=theirs)
    assert first.returncode == 1, first.stdout + first.stderr
    assert "files were modified by this hook" in first.stdout, first.stdout + first.stderr
    assert (theirs / "recipes" / "parts" / "seed.yaml").read_text() == NEAT
    assert (theirs / "compose.yaml").read_text() == "services:   {}\n"
    assert call(*pre_commit, cwd=theirs).returncode == 0
    recipe = theirs / "recipes" / "mine.yaml"
    recipe.write_text(recipe.read_text().replace("alpaca", "alpaka"))
    last = call(*pre_commit, cwd=theirs)
    assert last.returncode == 1
    assert "did you mean `alpaca`?" in last.stdout
