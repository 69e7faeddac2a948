"""Wrong input: a status, a sentence with place and remedy, no traceback, the store unharmed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .conftest import Workdir

RECIPE_FAULTS = {
    "unknown key": ("seed: 5", "sede: 5", "pico.yaml:3:1: unknown key `sede`"),
    "unknown parameter": ("below: 6", "belwo: 6", "did you mean `below`?"),
    "unknown plugin": ("use: max-words", "use: max-wrods", "did you mean `max-words`?"),
    "wrong type": ("count: 6", "count: six", "`count` must be a whole number, got 'six'"),
    "out of range": ("fraction: 0.9", "fraction: 90", "`fraction`"),
    "not yaml": ("seed: 5", "seed: [5", "not YAML"),
    "another tool's word": ("r: 8", "lora_rank: 8", "name for `r`"),
    "missing": ("  template: {use: alpaca}\n", "", "needs `template`"),
    "nothing held out": ("  validation: {count: 6}\n", "", "and there is none"),
}


@pytest.mark.parametrize("command", ["validate", "plan", "run", "hash", "lock", "show"])
def test_every_command_gives_the_same_answer(workdir: Workdir, command: str) -> None:
    workdir.edit("below: 6", "belwo: 6")
    status, out, err = workdir.call(command, "pico.yaml")
    assert status == 2
    assert "pico.yaml:13:" in out + err
    assert "unknown parameter `belwo`" in out + err


@pytest.mark.parametrize("fault", RECIPE_FAULTS)
def test_a_wrong_recipe_is_named_with_place_and_remedy(workdir: Workdir, fault: str) -> None:
    old, new, expected = RECIPE_FAULTS[fault]
    workdir.edit(old, new)
    status, out, _ = workdir.call("validate", "pico.yaml")
    assert status == 2
    assert expected in out
    assert out.startswith("pico.yaml:")


def test_no_such_recipe_suggests_one_that_ships(workdir: Workdir) -> None:
    status, _, err = workdir.call("run", "quickstrat.yaml")
    assert status == 2
    assert "did you mean quickstart.yaml" in err


def test_a_folder_is_no_recipe(workdir: Workdir) -> None:
    status, _, err = workdir.call("run", "base")
    assert status == 2
    assert "is a folder" in err


def test_a_missing_data_file_is_named(workdir: Workdir) -> None:
    (workdir.folder / "colours.jsonl").unlink()
    status, _, err = workdir.call("run", "pico.yaml")
    assert status == 3
    assert "colours.jsonl" in err


def test_a_broken_row_is_named_by_file_and_line(workdir: Workdir) -> None:
    path = workdir.folder / "colours.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    lines[6] = '{"instruction": "x", \n'
    path.write_text("".join(lines))
    status, _, err = workdir.call("run", "pico.yaml")
    assert status == 3
    assert "colours.jsonl:7" in err
    assert "data/colours/read" in err


@pytest.mark.parametrize("command", ["run", "plan", "hash"])
def test_bytes_that_differ_from_the_lock_are_refused(
    own_run: tuple[Workdir, Any], command: str
) -> None:
    workdir, before = own_run
    path = workdir.folder / "colours.jsonl"
    original = path.read_text()
    path.write_text(original.replace("Rome", "Oslo", 1))
    document = workdir.json(command, "pico.yaml", status=2)
    assert "changed colours.jsonl" in document["error"]["message"]
    assert "--update data/colours/source" in document["error"]["hint"]
    path.write_text(original)
    assert workdir.json("run", "pico.yaml")["result_hash"] == before["result_hash"]


@pytest.mark.slow
def test_new_bytes_are_taken_when_the_lock_is_updated(own_run: tuple[Workdir, Any]) -> None:
    workdir, before = own_run
    path = workdir.folder / "colours.jsonl"
    path.write_text(path.read_text().replace("Rome", "Oslo", 1))
    workdir.json("lock", "pico.yaml", "--update", "data/colours/source")
    again = workdir.json("run", "pico.yaml")
    ran = workdir.ran(again)
    assert "data/colours/read" in ran
    assert not any(name.startswith(("base", "data/capitals")) for name in ran)
    assert again["recipe_hash"] != before["recipe_hash"]


def test_an_edited_lock_is_refused_with_a_sentence(own_run: tuple[Workdir, Any]) -> None:
    workdir, _ = own_run
    lock = workdir.folder / "pico.lock"
    lock.write_text(lock.read_text().replace('"lock": 1', '"lock": 9'))
    status, _, err = workdir.call("run", "pico.yaml")
    assert status == 2
    assert "pico.lock" in err


@pytest.mark.slow
def test_a_damaged_artifact_is_named_and_made_again(own_run: tuple[Workdir, Any]) -> None:
    workdir, before = own_run
    workdir.edit("learning_rate: 1.0e-3", "learning_rate: 2.0e-3")
    step = next(s for s in before["steps"] if s["name"] == "pack")
    result = json.loads(
        (workdir.folder / "store" / "steps" / f"{step['key'][7:]}.json").read_text()
    )
    manifest = result["outputs"]["train"]["manifest"]
    path = workdir.folder / "store" / "artifacts" / manifest[7:] / "table.arrow"
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert workdir.call("store", "verify")[0] == 1
    status, _, err = workdir.call("run", "pico.yaml")
    assert status == 3
    assert "damaged" in err
    assert "pack" in workdir.ran(workdir.json("run", "pico.yaml"))
    assert workdir.call("store", "verify")[0] == 0


def test_a_full_disk_is_a_sentence_and_the_store_stays_whole(
    own_run: tuple[Workdir, Any], tmp_path: Path
) -> None:
    """On a real file system of 600 kB, mounted where that is allowed."""
    workdir, before = own_run
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(small)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("a small file system cannot be mounted here")
    try:
        workdir.environment = {"KHICHDI_STORE": str(small / "store")}
        status, _, err = workdir.call("run", "pico.yaml")
        assert status == 3
        assert "No space left on device" in err
        assert "--store DIR" in err
        assert workdir.call("store", "verify")[0] == 0
    finally:
        subprocess.run(["umount", str(small)], check=True)
    workdir.environment = {}
    assert workdir.json("run", "pico.yaml")["result_hash"] == before["result_hash"]


def test_wrong_options_are_a_sentence_and_json_when_asked(workdir: Workdir) -> None:
    document = workdir.json("run", "pico.yaml", "--fast", status=2)
    assert "--fast" in document["error"]["message"]
    status, _, err = workdir.call("rnu", "pico.yaml")
    assert status == 2
    assert "did you mean `recipe run`" in err


HEAVY = ("torch", "transformers", "pyarrow", "datasets", "numpy", "rich")


@pytest.mark.parametrize(
    "words",
    [["--help"], ["validate", "birbal-200k.yaml"], ["list"], ["plugins"], ["hash", "pico.yaml"]],
    ids=lambda words: words[0],
)
def test_light_commands_import_nothing_heavy(workdir: Workdir, words: list[str]) -> None:
    script = (
        "import sys; from khichdi.cli.main import main; status = main(sys.argv[1:]);"
        f"print('heavy:', [m for m in {HEAVY!r} if m in sys.modules], status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *words],
        cwd=workdir.folder,
        env=dict(os.environ),
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines()[-1] == "heavy: [] 0", done.stdout + done.stderr


def test_without_the_extras_a_run_says_what_to_install(workdir: Workdir) -> None:
    script = (
        "import sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('pyarrow', 'torch', 'datasets'):\n"
        "            raise ModuleNotFoundError(name, name=name)\n"
        "sys.meta_path.insert(0, Refuse())\n"
        "from khichdi.cli.main import main\n"
        "sys.exit(main(['run', 'pico.yaml', '--store', 'store']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=workdir.folder, capture_output=True, text=True
    )
    assert done.returncode == 3
    assert "pip install 'khichdi[train]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_terminal_of_any_encoding_is_told(tmp_path: Path, encoding: str) -> None:
    folder = tmp_path / "ü ∂"
    folder.mkdir()
    environment = {**os.environ, "PYTHONUTF8": "1", "PYTHONIOENCODING": encoding}

    def call(*words: str) -> tuple[int, str, str]:
        done = subprocess.run(
            [sys.executable, "-m", "khichdi.cli", *words],
            cwd=folder, env=environment, capture_output=True, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout.decode(encoding), done.stderr.decode(encoding)

    code, out, _ = call("store", "--json")
    assert (code, json.loads(out)["store"]) == (0, str(folder / ".khichdi"))
    code, _, err = call("validate", "∂.yaml")
    assert code == 2
    assert "a fault in khichdi" not in err
    assert call("store")[0] == 0
