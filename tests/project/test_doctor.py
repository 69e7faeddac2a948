"""What `recipe doctor` says of a machine is so, and it says what to do."""

from __future__ import annotations

import json
from importlib.metadata import metadata, version
from pathlib import Path
from typing import Any

import pytest
from http_site import QuietHandler, serving

from khichdi.cli.main import main
from khichdi.project import doctor, extras
from khichdi.project.doctor import find_torch, reach_hub
from khichdi.project.extras import CORE, PURPOSES, list_extras
from khichdi.project.machine import describe_machine, gpus_of, list_gpus
from khichdi.runtime import environment


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working folder, on a machine whose PATH has no program."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    for name in ("KHICHDI_STORE", "HF_ENDPOINT", "HF_HUB_OFFLINE", "https_proxy", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def asked(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, Any]]:
    status = main(["doctor", *words, "--json"])
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert found["can_train"] == (status == 0)
    return status, found


def without(monkeypatch: pytest.MonkeyPatch, *missing: str) -> None:
    """Let libraries count as not installed."""

    there = environment.installed

    def installed(name: str) -> str | None:
        return None if name in missing else there(name)

    for module in (doctor, extras):
        monkeypatch.setattr(module, "installed", installed)


def test_every_extra_of_users_is_described_and_no_other() -> None:
    assert PURPOSES.keys() - {CORE} == set(metadata("khichdi").get_all("Provides-Extra") or ()) - {
        "dev",
        "docs",
    }


def test_libraries_are_listed_once_with_the_versions_that_are_installed() -> None:
    found = {extra.name: extra for extra in list_extras()}
    own = {library.name: library for library in found[CORE].libraries}
    assert own["pydantic"].version == version("pydantic")
    assert own["pydantic"].fits
    assert found[CORE].ready
    assert found["train"].includes == ("data",)
    train = {library.name for library in found["train"].libraries}
    assert {"torch", "peft"} <= train
    assert not train & {library.name for library in found["data"].libraries}
    assert found["train"].install == "pip install 'khichdi[train]'"


def test_a_missing_library_is_named_with_what_it_limits_and_what_installs_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    without(monkeypatch, "uvicorn")
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "uvicorn missing" in out
    assert "for: `recipe serve`\n" in out
    assert "pip install 'khichdi[serve]'" in out
    assert out.endswith("next: recipe run quickstart.yaml\n")
    _, found = asked(capsys)
    ready = {extra["name"]: extra["ready"] for extra in found["extras"]}
    assert (ready["data"], ready["serve"]) == (True, False)


def test_an_extra_is_not_ready_without_the_libraries_of_one_that_it_includes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    without(monkeypatch, "pyarrow")
    ready = {extra.name: extra.ready for extra in list_extras()}
    assert not any(ready[name] for name in ("data", "curate", "train", "serve", "report"))
    assert ready[CORE]


def test_an_old_library_is_named_with_the_versions_that_fit(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(extras, "installed", lambda name: "0.0.1")
    assert main(["doctor"]) == 0
    assert "peft 0.0.1 (needs >=" in " ".join(capsys.readouterr().out.split())


def test_the_status_is_1_where_no_runtime_has_its_libraries(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    without(monkeypatch, "bitsandbytes", "torch")
    status, found = asked(capsys)
    assert status == 1
    assert found["runtimes"]["qlora"]["missing"] == ["torch", "bitsandbytes"]
    assert found["torch"] is None
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    problem = "no training runtime has its libraries: `qlora` lacks torch, bitsandbytes"
    assert f"problem: {problem}\n" in out
    assert out.endswith("next: pip install 'khichdi[train]'\n")


def test_the_store_is_looked_at_where_it_is_or_will_be(
    nowhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, found = asked(capsys)
    store = found["store"]
    assert (store["folder"], store["used"]) == (str(nowhere / ".khichdi"), None)
    assert 0 < store["free"] < store["total"]
    assert not (nowhere / ".khichdi").exists()
    (nowhere / "kept").mkdir()
    _, found = asked(capsys, "--store", "kept")
    assert found["store"]["used"] == {"results": 0, "artifacts": 0, "size": 0}
    (nowhere / "file").write_text("")
    status, found = asked(capsys, "--store", "file/store")
    assert status == 1
    assert found["problems"][-1].startswith("the store cannot be written: ")


# ---- machine ---------------------------------------------------------------------------------


def test_the_machine_has_cores_and_memory() -> None:
    machine = describe_machine()
    assert machine.cores >= 1
    assert machine.memory is None or machine.memory > 2**28
    assert machine.gpu_note == "nvidia-smi is not on the PATH"


def test_gpus_are_read_from_the_answer_of_nvidia_smi() -> None:
    whole, without_memory = gpus_of(
        "NVIDIA H100 80GB HBM3, 81559, 550.54.15, 9.0\nNVIDIA GB10, [N/A], 580.95, [N/A]\n"
    )
    assert (whole.name, whole.memory) == ("NVIDIA H100 80GB HBM3", 81559 * 2**20)
    assert (whole.driver, whole.compute_capability) == ("550.54.15", "9.0")
    assert (without_memory.memory, without_memory.compute_capability) == (None, None)
    assert gpus_of("No devices were found\n") == ()


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("script", "gpus", "note"),
    [
        ("echo 'NVIDIA H100, 81559, 550.54, 9.0'", 1, None),
        ("echo", 0, "nvidia-smi lists none"),
        ("echo 'NVIDIA-SMI has failed' >&2; exit 9", 0, "nvidia-smi failed: NVIDIA-SMI has failed"),
    ],
)
def test_nvidia_smi_is_asked_and_may_fail(
    nowhere: Path, script: str, gpus: int, note: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    program = nowhere / "bin" / "nvidia-smi"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    found, said = list_gpus()
    assert (len(found), said) == (gpus, note)
    torch = find_torch()
    if gpus and torch is not None and torch.cuda is None:
        _, document = asked(capsys)
        assert "is built without CUDA and cannot use the GPU" in document["problems"][0]


def test_the_build_of_torch_is_read_without_importing_it() -> None:
    found = find_torch()
    torch = pytest.importorskip("torch")
    assert found is not None
    assert found.version.partition("+")[0] == torch.__version__.partition("+")[0]
    assert (found.cuda, found.rocm) == (torch.version.cuda, torch.version.hip)


# ---- network ---------------------------------------------------------------------------------


class Refusing(QuietHandler):
    """A hub that answers every request with one status."""

    status = 401

    def do_HEAD(self) -> None:
        self.head(self.status, 0)


class Broken(Refusing):
    status = 503


def test_the_hub_is_asked_only_if_that_is_wanted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(Refusing) as server:
        monkeypatch.setenv("HF_ENDPOINT", f"http://me:secret@127.0.0.1:{server.server_port}")
        assert asked(capsys)[1]["network"] is None
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        _, found = asked(capsys, "--network")
    assert found["network"]["reason"] is None
    assert found["network"]["seconds"] > 0
    assert found["problems"] == []


def test_a_hub_that_is_not_reached_is_a_problem_and_no_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(Broken) as server:
        address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setenv("HF_ENDPOINT", address)
        assert reach_hub().reason == "it answered 503"
    status, found = asked(capsys, "--network")
    assert (status, found["network"]["address"]) == (0, address)
    assert "Connection refused" in found["network"]["reason"]
    assert "--mirror" in found["problems"][0]
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert reach_hub().reason == "HF_HUB_OFFLINE is set"


@pytest.mark.parametrize("address", ["file:///etc/passwd", "hub", "http://[::bad"])
def test_an_address_that_is_none_is_not_opened(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", address)
    assert reach_hub().seconds is None
