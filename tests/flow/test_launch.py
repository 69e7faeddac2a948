"""`recipe run --launch`: the same results from several processes, and from several machines."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from .conftest import Workdir, make_workdir


def record(document: Any) -> Any:
    return json.loads((Path(document["run"]) / "record.json").read_text())


def measured(document: Any) -> Any:
    steps = record(document)["steps"]
    return next(step for step in steps if step["kind"] == "runtime")["result"]["measured"]


@pytest.mark.nightly
@pytest.mark.slow
def test_two_processes_give_the_result_of_one(
    workdir: Workdir, shared_run: tuple[Workdir, Any]
) -> None:
    _, alone = shared_run
    document = workdir.json("run", "pico.yaml", "--launch", "2")
    assert document["result_hash"] == alone["result_hash"]
    assert measured(document)["processes"] == 2
    assert workdir.ran(workdir.json("run", "pico.yaml")) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("0", "processes is `0`; expected: a whole number from 1 on"),
        ("two", "processes is `two`"),
        ("2,strategy=zero", "strategy is `zero`; expected: ddp or fsdp"),
        ("2,gpus=1", "`gpus=1` is not a key"),
        ("2,processes=3", "`processes` appears twice"),
        ("2,nodes=2", "several machines have no rendezvous"),
        ("2,nodes=2,node=2,rendezvous=a:1", "node is 2 of 2"),
        ("2,nodes=2,rendezvous=somewhere", "rendezvous is `somewhere`; expected: HOST:PORT"),
    ],
)
def test_what_cannot_be_launched_is_refused(workdir: Workdir, words: str, said: str) -> None:
    error = workdir.json("run", "pico.yaml", "--launch", words, status=2)["error"]
    assert said in error["message"]
    assert "--launch" in error["hint"]


def children(process: int) -> list[int]:
    """Return the processes that were started by this one, as the system counts them."""
    listing = Path(f"/proc/{process}/task/{process}/children")
    return [int(number) for number in listing.read_text().split()]


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def command_line(process: int) -> str:
    return Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode()


def has_checkpoint(workdir: Workdir) -> bool:
    try:
        return any((workdir.folder / "store" / "work").glob("*/step-*/manifest.json"))
    except FileNotFoundError:  # an older one was removed while we looked
        return False


@pytest.mark.nightly
@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's /proc")
def test_a_killed_run_leaves_no_process_and_goes_on(
    workdir: Workdir, tmp_path: Path, tiny_base: Path
) -> None:
    """The command itself is killed: the processes it started end by themselves."""
    undisturbed = make_workdir(tmp_path / "undisturbed", tiny_base)
    for each in (workdir, undisturbed):
        each.edit("num_epochs: 3", "num_epochs: 20")  # long enough to be killed
    process = workdir.start("run", "pico.yaml", "--launch", "2")
    while process.poll() is None and not has_checkpoint(workdir):
        time.sleep(0.05)
    started = [child for child in children(process.pid) if "spawn_main" in command_line(child)]
    assert process.poll() is None, "it ended before it could be killed"
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert len(started) == 2
    while any(map(alive, started)):
        time.sleep(0.1)
    document = workdir.json("run", "pico.yaml", "--launch", "2,strategy=fsdp")
    alone = undisturbed.json("run", "pico.yaml")
    assert document["result_hash"] == alone["result_hash"]


@pytest.mark.nightly
@pytest.mark.slow
def test_two_machines_give_the_result_of_one(
    tmp_path: Path, tiny_base: Path, shared_run: tuple[Workdir, Any]
) -> None:
    """Each has files and a store of its own, and ends with the whole result."""
    _, alone = shared_run
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    runs = []
    for node in range(2):
        workdir = make_workdir(tmp_path / str(node), tiny_base)
        words = f"1,nodes=2,node={node},rendezvous=127.0.0.1:{port}"
        runs.append(workdir.start("run", "pico.yaml", "--json", "--launch", words))
    for process in runs:
        out, err = process.communicate()
        assert process.returncode == 0, out + err
        assert json.loads(out)["result_hash"] == alone["result_hash"]
