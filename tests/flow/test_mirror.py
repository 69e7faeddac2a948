"""Without a network: a mirror stands in for the hub, git servers and the web."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from .conftest import Workdir, rows

NOWHERE = "http://127.0.0.1:9"
HUB = "{use: huggingface, repo: team/capitals, repo_type: dataset}"
GIT = "{use: git, url: 'https://git.example.org/team/colours.git', include: ['*.jsonl']}"


@pytest.fixture
def cut_off(workdir: Workdir) -> Workdir:
    """Return a workdir whose data is on the hub and on a git server, and that reaches neither."""
    workdir.edit("{use: files, include: [capitals.jsonl]}", HUB)
    workdir.edit("{use: files, include: [colours.jsonl]}", GIT)
    workdir.edit("evaluate:\n  - {use: generate, max_new_tokens: 4, cpu_threads: 1}\n", "")
    proxies = {name: NOWHERE for name in ("http_proxy", "https_proxy", "HTTPS_PROXY")}
    workdir.environment = {"HF_ENDPOINT": NOWHERE, "no_proxy": "", "NO_PROXY": "", **proxies}
    return workdir


def lay_out(root: Path) -> Path:
    places = {
        "huggingface/datasets/team/capitals/capitals.jsonl": rows("a capital", 30),
        "git/git.example.org/team/colours/colours.jsonl": rows("a colour", 12),
    }
    for place, text in places.items():
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).write_text(text)
    return root


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Serve a folder on the loopback; give its address and the folder."""
    folder = tmp_path / "served"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", folder
        server.shutdown()


def error(workdir: Workdir, *words: str, status: int = 3) -> Any:
    return workdir.json(*words, status=status)["error"]


@pytest.mark.nightly
@pytest.mark.slow
def test_a_run_without_a_network_takes_all_from_the_mirror(
    cut_off: Workdir, tmp_path: Path
) -> None:
    assert "team/capitals" in error(cut_off, "lock", "pico.yaml")["message"]
    mirror = lay_out(tmp_path / "mirror")
    done = cut_off.json("run", "pico.yaml", "--mirror", str(mirror))
    facts = {s["name"]: s for s in cut_off.json("plan", "pico.yaml")["steps"]}
    assert facts["data/capitals/read"]["facts"]["rows_out"] == 30
    assert facts["data/colours/read"]["facts"]["rows_out"] == 12
    # Once in the store, nothing is asked again, of mirror or network.
    shutil.rmtree(mirror)
    assert cut_off.json("run", "pico.yaml")["result_hash"] == done["result_hash"]


def test_the_lock_holds_for_a_mirror_too(cut_off: Workdir, tmp_path: Path) -> None:
    mirror = lay_out(tmp_path / "mirror")
    cut_off.environment["KHICHDI_MIRROR"] = str(mirror)
    cut_off.json("lock", "pico.yaml")
    file = mirror / "git/git.example.org/team/colours/colours.jsonl"
    file.write_text(file.read_text().replace("Rome", "Roma"))
    found = error(cut_off, "run", "pico.yaml", status=2)
    assert "colours.jsonl is not the file that was pinned" in found["message"]
    file.unlink()
    assert (
        "has no git/git.example.org/team/colours/colours.jsonl"
        in error(cut_off, "run", "pico.yaml")["message"]
    )


@pytest.mark.nightly
@pytest.mark.slow
def test_a_mirror_is_made_carried_and_served(
    cut_off: Workdir, tmp_path: Path, served: tuple[str, Path]
) -> None:
    address, folder = served
    here = lay_out(tmp_path / "mirror")
    places = cut_off.json("mirror", "pico.yaml", "--mirror", str(here), "--to", str(folder))
    assert places["places"]["data/capitals/source"] == "huggingface/datasets/team/capitals"
    locked = cut_off.json("hash", "pico.yaml")["recipe_hash"]
    (cut_off.folder / "pico.lock").unlink()
    home = tmp_path / "home"
    (home / "khichdi").mkdir(parents=True)
    (home / "khichdi" / "config.toml").write_text(f'mirror = "{address}"\n')
    cut_off.environment |= {"XDG_CONFIG_HOME": str(home), "no_proxy": "127.0.0.1"}
    cut_off.json("run", "pico.yaml")
    assert cut_off.json("hash", "pico.yaml")["recipe_hash"] == locked


def test_what_a_mirror_does_not_have_is_said(cut_off: Workdir, tmp_path: Path) -> None:
    mirror = tmp_path / "mirror"
    assert (
        "there is no mirror"
        in error(cut_off, "lock", "pico.yaml", "--mirror", str(mirror), status=2)["message"]
    )
    lay_out(mirror)
    shutil.rmtree(mirror / "git")
    found = error(cut_off, "lock", "pico.yaml", "--mirror", str(mirror))
    assert "has no git/git.example.org/team/colours" in found["message"]
    assert "recipe mirror" in found["hint"]
