"""Signatures on models in OpenSSF's format, verified by that project's own tool."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from signing_keys import write_key

from .conftest import Workdir
from .test_bundle import recipe
from .test_sign import run_of

for name in ("model_signing", "OpenSSL"):
    pytest.importorskip(name, reason="the extra `model-signing` is not installed")

Ran = tuple[Workdir, Any]


def signed(own_run: Ran, key: str, status: int = 0) -> Any:
    return recipe(
        own_run[0], "sign", run_of(own_run).name, "--key", key, "--model-signing", status=status
    )


def verified(folder: Path, signature: Path, key: str) -> tuple[bool, str]:
    """Verify by the tool itself, in a process of its own."""
    command = [sys.executable, "-m", "model_signing", "verify", "key", str(folder)]
    command += ["--signature", str(signature), "--public_key", key]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return found.returncode == 0, found.stdout + found.stderr


def test_its_own_tool_verifies_the_adapter_and_sees_every_change(
    own_run: Ran, tmp_path: Path
) -> None:
    key, stranger = write_key(tmp_path, "key", curve=True), write_key(tmp_path, "s", curve=True)
    run = run_of(own_run)
    found = signed(own_run, key[0])
    adapter, signature = run / "adapter", run / "adapter.sig"
    assert found["signatures"] == [str(signature)]
    good, said = verified(adapter, signature, key[1])
    assert good, said
    assert not verified(adapter, signature, stranger[1])[0]
    extra = adapter / "extra.json"
    extra.write_text("{}")
    assert not verified(adapter, signature, key[1])[0]
    extra.unlink()
    weights = adapter / "adapter_model.safetensors"
    raw = bytearray(weights.read_bytes())
    raw[-1] ^= 1
    weights.write_bytes(raw)
    assert not verified(adapter, signature, key[1])[0]


def test_the_signature_names_the_record_s_weights_and_nothing_of_this_machine(
    own_run: Ran, tmp_path: Path
) -> None:
    key = write_key(tmp_path, "key", curve=True)
    signed(own_run, key[0])
    bundle = json.loads((run_of(own_run) / "adapter.sig").read_text())
    payload = base64.b64decode(bundle["dsseEnvelope"]["payload"]).decode()
    named = {r["name"]: r["digest"] for r in json.loads(payload)["predicate"]["resources"]}
    record = json.loads((run_of(own_run) / "record.json").read_text())
    train = next(step for step in record["steps"] if step["kind"] == "runtime")
    files = train["result"]["outputs"]["adapter"]["files"]
    weights = "adapter_model.safetensors"
    assert named[weights] == files[weights]["sha256"].removeprefix("sha256:")
    assert set(named) == {path.name for path in (run_of(own_run) / "adapter").iterdir()}
    assert str(tmp_path) not in payload
    assert os.sep + "tmp" not in payload


def test_it_travels_in_the_bundle(own_run: Ran, tmp_path: Path) -> None:
    key = write_key(tmp_path, "key", curve=True)
    signed(own_run, key[0])
    found = recipe(own_run[0], "bundle", run_of(own_run).name, "-o", str(tmp_path / "b"))
    assert "adapter.sig" in found["files"]


def test_a_folder_that_is_not_the_record_s_is_not_signed(own_run: Ran, tmp_path: Path) -> None:
    key, adapter = write_key(tmp_path, "key", curve=True), run_of(own_run) / "adapter"
    (adapter / "more.json").write_text("{}")
    assert "has more.json" in signed(own_run, key[0], status=2)["error"]["message"]
    (adapter / "more.json").unlink()
    (adapter / "adapter_config.json").write_text("{}")
    assert "is not what the record says" in signed(own_run, key[0], status=2)["error"]["message"]
    (adapter / "adapter_config.json").unlink()
    assert "lacks adapter_config.json" in signed(own_run, key[0], status=2)["error"]["message"]
    assert not (run_of(own_run) / "adapter.sig").exists()


def test_another_kind_of_key_is_refused_and_not_shown(own_run: Ran, tmp_path: Path) -> None:
    ed25519 = write_key(tmp_path, "ed")
    (tmp_path / "no").write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n")
    for key in (ed25519[0], str(tmp_path / "no")):
        message = signed(own_run, key, status=2)["error"]["message"]
        assert "cannot be read as a private ECDSA key" in message
        assert "AAAA" not in message
    assert "cannot read" in signed(own_run, str(tmp_path / "none"), status=2)["error"]["message"]
