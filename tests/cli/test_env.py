"""`recipe env` lists what holds and where each value comes from, and no secret."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from khichdi.cli.main import main


def facts(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, dict[str, Any]]:
    assert main(["env", "--json", *words]) == 0
    return {fact["name"]: fact for fact in json.loads(capsys.readouterr().out)["facts"]}


@pytest.fixture(autouse=True)
def nothing_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("KHICHDI_STORE", "KHICHDI_MIRROR", "HF_ENDPOINT", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)


def test_each_origin_of_a_setting_is_the_one_that_wins(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = facts(capsys)
    assert (found["store"]["value"], found["store"]["origin"]) == (
        str(tmp_path / ".khichdi"), "default"
    )  # fmt: skip
    assert (found["mirror"]["value"], found["mirror"]["origin"]) == (None, "not set")
    config = tmp_path / "config" / "khichdi"
    config.mkdir(parents=True)
    (config / "config.toml").write_text('mirror = "/srv/mirror"\n')
    found = facts(capsys)
    assert (found["mirror"]["value"], found["mirror"]["origin"]) == ("/srv/mirror", "settings file")
    monkeypatch.setenv("KHICHDI_MIRROR", "https://me:pass@mirror.example/x?key=1")
    monkeypatch.setenv("KHICHDI_STORE", "/data/store")
    found = facts(capsys)
    assert found["mirror"]["origin"] == "KHICHDI_MIRROR"
    assert found["mirror"]["value"] == "https://mirror.example/x"
    assert (found["store"]["value"], found["store"]["origin"]) == ("/data/store", "KHICHDI_STORE")
    assert facts(capsys, "--store", str(tmp_path))["store"]["origin"] == "--store"


def test_tokens_are_named_and_not_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_" + "c" * 34)
    assert facts(capsys)["HF_TOKEN"]["value"] == "set, not shown"
    assert main(["env"]) == 0
    assert "ccc" not in capsys.readouterr().out


def test_versions_are_those_installed_and_missing_ones_have_none(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = facts(capsys)
    for name in ("pydantic", "rich"):
        assert found[name]["value"] == version(name)
        assert found[name]["origin"] == "always needed"
    assert found["flash-attn"]["origin"] == "extra flash"
    main(["env"])
    table = capsys.readouterr().out
    assert f"libraries  pydantic              {version('pydantic')}" in table
