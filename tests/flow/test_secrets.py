"""No secret reaches a file, a log, a traceback or the screen, wherever it was planted."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from signing_keys import write_key

from khichdi.cli.capture_output import capture_output
from khichdi.cli.log_masker import shown, whole
from khichdi.cli.main import main
from khichdi.runtime.bundle.privacy_check import check
from khichdi.schema import secrets
from khichdi.schema.secrets import mask, masked, secrets_in

from ..stress.cases.planted_secrets import HARMLESS, KINDS, LIVE, PLACES, VARIABLE, fits, leaks
from .conftest import Workdir

Ran = tuple[Workdir, Any]
SAMPLE = ("hub", "login in a URL", "private key", ".netrc", "environment")
"""Kinds that are planted in whole folders here; all of them by tests/stress/leaks.py."""


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv(VARIABLE, LIVE)
    return


@pytest.fixture(scope="module")
def keyed(shared_run: Ran, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that ran, with the key that a run is signed with."""
    import shutil

    folder = tmp_path_factory.mktemp("keyed") / "workdir"
    shutil.copytree(shared_run[0].folder, folder)
    pytest.importorskip("cryptography", reason="the extra `proof` is not installed")
    write_key(folder, "key")
    return folder


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", SAMPLE)
def test_a_planted_secret_is_in_no_output(
    keyed: Path, tmp_path: Path, kind: str, place: str
) -> None:
    text, needle = KINDS[kind]
    if not fits(place, text):
        pytest.skip("no name of a file holds a slash")
    assert leaks(keyed, tmp_path / "workdir", place, text, needle) == []


@pytest.mark.parametrize("place", [place for place in PLACES if place != "row"])
def test_without_care_it_would_be_in_some(
    keyed: Path, tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secrets, "SHAPES", {})
    text, needle = KINDS["hub"]
    assert leaks(keyed, tmp_path / "workdir", place, text, needle)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_seen_and_its_kind_stands_in_its_place(kind: str, tmp_path: Path) -> None:
    text, needle = KINDS[kind]
    for shape in ("{}", "before {} after", '{{"x": "{}"}}', "a\n# {}\nb", "('{}',)"):
        raw = shape.format(text)
        assert any(secrets_in(raw.encode()))
        assert needle not in mask(raw)
        assert mask(mask(raw)) == mask(raw)
    value = {"a": [{text: text}], "password": needle}
    assert needle not in json.dumps(masked(value))
    path = tmp_path / "record.json"
    path.write_text(json.dumps(value))
    with pytest.raises(Exception, match=r"record\.json, line 1") as caught:
        check([("record.json", path)])
    assert needle not in str(caught.value)


@pytest.mark.parametrize("text", HARMLESS)
def test_what_only_sounds_like_a_secret_is_left_alone(text: str, tmp_path: Path) -> None:
    for raw in (text, f"  {text}\n", json.dumps({"x": text})):
        assert list(secrets_in(raw.encode())) == []
        assert mask(raw) == raw
    assert masked({"x": text}) == {"x": text}


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_library_says_stands_in_the_log_without_its_secrets(
    kind: str, tmp_path: Path
) -> None:
    log, (text, needle) = tmp_path / "log.txt", KINDS[kind]
    with capture_output(log):
        os.write(1, f"loading with {text}\n".encode())
        os.write(2, f"warning: {text} is old\n".encode())
        logging.getLogger("some.library").warning("it is %s", text)
    said = log.read_text()
    assert said.startswith("loading with ")
    assert needle not in said
    if "PRIVATE KEY" not in text:
        assert " is old" in said
        assert "it is " in said


SPEAKS_AND_DIES = """
import os, signal, sys
from pathlib import Path
from khichdi.cli.capture_output import capture_output

with capture_output(Path(sys.argv[1])):
    for line in sys.stdin:
        os.write(1, b"said: " + line.encode())
    os.write(2, b"the last word")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_log_of_a_killed_process_has_no_secrets_and_all_else(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    spoken = "".join(f"{text}\nand on\n" for text, _ in KINDS.values())
    command = [sys.executable, "-c", SPEAKS_AND_DIES, str(log)]
    done = subprocess.run(command, input=spoken, text=True)
    assert done.returncode == -signal.SIGKILL
    limit = time.monotonic() + 30
    while not (log.exists() and log.read_text().endswith("the last word")):
        assert time.monotonic() < limit, log.read_text() if log.exists() else "there is no log"
        time.sleep(0.05)
    said = log.read_text()
    assert said.count("said: and on") == len(KINDS)
    assert [kind for kind, (_, needle) in KINDS.items() if needle in said] == []


def test_what_may_be_half_a_secret_waits_for_the_rest() -> None:
    body = [f"a1B{n}" * 16 for n in range(3)]
    name = "PRIVATE KEY-----"
    text = "\n".join(["it is", f"-----BEGIN {name}", *body, f"-----END {name}", "and on", ""])
    raw = text.encode()
    for cut in range(len(raw)):
        end = whole(raw[:cut])
        said = (shown(raw[:end]) + shown(raw[end:])).decode()
        assert said == "it is\n[a private key]\nand on\n", cut


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("debug", [False, True])
def test_a_fault_shows_no_secret_of_its_own(
    kind: str, debug: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text, needle = KINDS[kind]

    def broken(options: object) -> int:
        raise RuntimeError(f"cannot log in: {text}")

    monkeypatch.setattr("khichdi.cli.list.run", broken)
    if debug:
        monkeypatch.setenv("KHICHDI_DEBUG", "1")
    for words in (["list"], ["list", "--json"]):
        assert main(words) == 3
        said = "".join(capsys.readouterr())
        assert "RuntimeError: cannot log in" in said
        assert ("Traceback" in said) == debug
        assert needle not in said


def test_a_secret_in_a_recipe_is_told_with_its_place(shared_run: Ran, tmp_path: Path) -> None:
    workdir = Workdir(tmp_path)
    workdir.recipe.write_text(f"recipe: 1\nname: x\nseed: 1  # {KINDS['GitHub'][0]}\n")
    code, out, _ = workdir.call("validate", "pico.yaml")
    assert code == 2
    assert out.startswith("pico.yaml:3:12: a token of GitHub must not be in a recipe")
    assert workdir.json("validate", "pico.yaml", status=2)["diagnostics"][0]["code"] == "secret"
