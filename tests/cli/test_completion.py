"""Completion: what a shell is offered, and how little is imported to say it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from khichdi.cli.main import COMMANDS, main

pytest.importorskip("argcomplete", reason="the extra `completion` is not installed")

HEAVY = {"torch", "transformers", "pyarrow", "datasets", "huggingface_hub", "pydantic", "rich"}
ASK = """\
import json, os, sys
from khichdi.cli.main import main
sys.argv[0] = "recipe"
kept = os._exit
def leave(status):
    print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})), file=sys.stderr)
    sys.stderr.flush()
    kept(status)
os._exit = leave
main()
"""


def completed(line: str, folder: Path) -> tuple[list[str], set[str]]:
    """Ask as bash does; return the completions and the modules that were imported for them."""
    import json

    answer = folder / "answer"
    variables = {
        "_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": "\n", "COMP_LINE": line, "COMP_TYPE": "9",
        "COMP_POINT": str(len(line)), "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
        "_ARGCOMPLETE_SUPPRESS_SPACE": "1",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        cwd=folder,
        env={**os.environ, "KHICHDI_STORE": str(folder / "store"), **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    modules = set(json.loads(done.stderr.splitlines()[-1]))
    return answer.read_text().split("\n"), modules


def test_commands_and_options_are_completed(tmp_path: Path) -> None:
    found, modules = completed("recipe ", tmp_path)
    assert set(found) == set(COMMANDS)
    assert not modules & HEAVY
    assert set(completed("recipe pub", tmp_path)[0]) == {"publish"}
    found, modules = completed("recipe audit --st", tmp_path)
    assert set(found) == {"--store", "--statement", "--strict"}
    found, _ = completed("recipe audit latest --level ba", tmp_path)
    assert set(found) == {"batches", r"base\ weights"}


def test_recipes_are_those_of_the_folder_and_those_that_ship(tmp_path: Path) -> None:
    (tmp_path / "birds.yaml").touch()
    (tmp_path / "notes.txt").touch()
    found, modules = completed("recipe plan bir", tmp_path)
    assert "birds.yaml" in found
    assert "birbal-200k.yaml" in found
    assert "notes.txt" not in completed("recipe plan ", tmp_path)[0]
    assert not modules & (HEAVY - {"pydantic"})


def test_runs_are_those_of_the_store(tmp_path: Path) -> None:
    for name in ("2026-11-21-2044Z-quickstart", "2026-11-22-0101Z-bot"):
        (tmp_path / "store" / "runs" / name).mkdir(parents=True)
    found, modules = completed("recipe report 2026-11-2", tmp_path)
    assert set(found) == {"2026-11-21-2044Z-quickstart", "2026-11-22-0101Z-bot"}
    assert not modules & (HEAVY - {"pydantic"})


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_for_each_shell(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert "_ARGCOMPLETE" in script
    assert "recipe" in script
    assert ("complete" if shell != "zsh" else "compdef") in script


def test_bash_itself_completes_with_the_script(tmp_path: Path) -> None:
    """The script is read by a real bash, whose completion function is called as for a Tab."""
    script = f"""
export PATH={Path(sys.executable).parent}:$PATH
eval "$(recipe completion bash)"
COMP_LINE="recipe verif" COMP_POINT=12 COMP_TYPE=9 COMP_WORDS=(recipe verif) COMP_CWORD=1
{{ _python_argcomplete recipe verif recipe; }}
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.stdout.split() == ["verify"], done.stderr
