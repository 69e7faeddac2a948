"""A bundle: the same bytes for the same run, nothing personal in it, and safe to open."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path
from typing import Any

import pytest
from forgery import rewrite

from khichdi.cli.main import main
from khichdi.runtime.bundle.privacy_check import check
from khichdi.runtime.bundle.read import unpacked
from khichdi.schema.errors import InputError

from ..stress.cases.hostile_tar import hostile
from .conftest import Workdir
from .segment_audits import recipe

Ran = tuple[Workdir, Any]


@pytest.fixture(scope="module")
def packed(shared_run: Ran, tmp_path_factory: pytest.TempPathFactory) -> tuple[Workdir, Path, Any]:
    target = tmp_path_factory.mktemp("bundle") / "pico.bundle"
    return shared_run[0], target, recipe(shared_run[0], "bundle", "latest", "-o", str(target))


def test_the_same_run_gives_the_same_bytes(
    packed: tuple[Workdir, Path, Any], tmp_path: Path
) -> None:
    workdir, first, _ = packed
    os.utime(next((workdir.folder / "store" / "runs").iterdir()) / "plan.json", (1, 1))
    recipe(workdir, "bundle", "latest", "-o", str(tmp_path / "again"))
    assert (tmp_path / "again").read_bytes() == first.read_bytes()


def test_it_has_what_an_auditor_needs_and_neither_data_nor_base_weights(
    packed: tuple[Workdir, Path, Any],
) -> None:
    workdir, path, document = packed
    files = list(document["files"])
    for name in ("record.json", "plan.json", "recipe/pico.yaml", "recipe/pico.lock"):
        assert name in files
    assert sum(name.endswith("adapter_model.safetensors") for name in files) == 1
    assert not [name for name in files if name.endswith((".arrow", ".jsonl", "/model.safetensors"))]
    assert "base#files" in document["left_out"]
    assert "data/capitals/read#rows" in document["left_out"]
    raw = path.read_bytes()
    assert b"Name a capital" not in raw
    assert str(workdir.folder).encode() not in raw


def test_it_is_audited_where_nothing_else_is(
    packed: tuple[Workdir, Path, Any], tmp_path: Path
) -> None:
    elsewhere = Workdir(tmp_path)
    found = recipe(elsewhere, "audit", str(packed[1]))
    verdicts = {one["level"]: one["verdict"] for one in found["levels"]}
    here = ("recipe", "plan", "starting weights", "steps", "adapter", "exports", "metrics")
    assert {verdicts[name] for name in here} == {"identical"}
    absent = ("sources", "data", "batches", "base weights")
    assert {verdicts[name] for name in absent} == {"unverifiable"}
    assert found["verdict"] == "unverifiable"


def test_with_data_and_weights_it_is_executed_again_where_nothing_else_is(
    shared_run: Ran, tmp_path: Path
) -> None:
    target = tmp_path / "whole.bundle"
    options = ["--with-data", "--with-weights", "-o", str(target)]
    assert recipe(shared_run[0], "bundle", "latest", *options)["left_out"] == []
    elsewhere = Workdir(tmp_path / "elsewhere")
    found = recipe(elsewhere, "audit", str(target), "--rerun", "--level", "batches", "--strict")
    assert found["verdict"] == "identical"
    assert found["levels"][4]["basis"] == "executed"


def test_hostile_bundles_are_refused_and_write_nothing(
    packed: tuple[Workdir, Path, Any], tmp_path: Path
) -> None:
    folder, scratch = tmp_path / "hostile", tmp_path / "a" / "b" / "scratch"
    folder.mkdir()
    scratch.mkdir(parents=True)
    count = 0
    for what, path in hostile(packed[1], folder):
        with pytest.raises(InputError), unpacked(path, str(scratch)):
            pytest.fail(f"{what} was let in")
        count += 1
        assert not list(scratch.iterdir()), what
        assert sorted(one.name for one in tmp_path.rglob("*escape*")) == [], what
        assert not Path("/tmp/escape").exists(), what
    assert count >= 100


def test_a_claim_whose_contents_were_made_to_fit_still_fails_the_audit(
    own_run: Ran, tmp_path: Path
) -> None:
    workdir, document = own_run
    run = workdir.folder / "store" / "runs" / Path(document["run"]).name
    rewrite(run, "record.json", lambda record: record["metrics"].update(exact_match=1.5))
    recipe(workdir, "bundle", run.name, "-o", str(tmp_path / "forged"))
    found = recipe(Workdir(tmp_path), "audit", str(tmp_path / "forged"), status=1)
    assert found["where"] == "metrics: metric exact_match"


SECRETS = {
    "hugging face": "hf_" + "a1B2" * 9,
    "github": "ghp_" + "a1B2" * 9,
    "github, fine": "github_pat_" + "a1B2" * 12,
    "gitlab": "glpat-" + "a1B2" * 6,
    "aws": "AKIA" + "A1B2" * 4,
    "google": "AIza" + "a1B2c" * 7,
    "openai": "sk-proj-" + "a1B2" * 8,
    "anthropic": "sk-ant-api03-" + "a1B2" * 8,
    "slack": "xoxb-" + "1234567890-" * 2 + "abc",
    "stripe": "sk_live_" + "a1B2" * 6,
    "pypi": "pypi-" + "a1B2" * 14,
    "npm": "npm_" + "a1B2" * 9,
    "sendgrid": "SG." + "a1B2" * 5 + "." + "a1B2" * 6,
    "telegram": "123456789:AA" + "a1B2" * 9,
    "databricks": "dapi" + "a1b2" * 8,
    "digitalocean": "dop_v1_" + "a1b2" * 16,
    "json web token": "eyJ" + "a1B2" * 4 + ".eyJ" + "a1B2" * 4 + "." + "a1B2" * 8,
    "private key": "-----BEGIN OPENSSH PRIVATE KEY-----",
    "password in an address": "https://alice:hunter22@example.org/data",
    "token as an account": "https://sometoken123@example.org/data",
    "signed address": "https://example.org/d?X-Amz-Signature=" + "a1b2" * 8,
    "password": "password: correcthorse",
    "api key": "API_KEY=a1b2c3d4e5",
    "authorization": "Authorization: Bearer a1b2c3d4e5",
    "home folder": "/home/alice/recipes",
    "a mac's home folder": "/Users/alice/recipes",
    "windows home folder": "C:\\Users\\alice\\recipes",
}
HARMLESS = [
    "eos_token: </s>", "pad_token_id: 0", "max_new_tokens: 4", "train_tokens: 15198.0",
    "response_tokens: 1511", "tokenizer.json", "special_tokens_map", "add_bos_token: true",
    "sha256:" + "0a1b" * 16, "https://huggingface.co/datasets/GAIR/lima", "sk-learn", "key: base",
    "task-based", "the secret of a good dish is time", "home/", "https://example.org/a@b",
    "hf_transfer", "use: huggingface", "image_token: <image>", "mask_token", "git@github.com:a/b",
]  # fmt: skip


@pytest.mark.parametrize("kind", SECRETS)
def test_a_planted_secret_stops_the_bundle_and_is_not_shown(
    own_run: Ran, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    workdir, document = own_run
    run = workdir.folder / "store" / "runs" / Path(document["run"]).name
    plant = f"a note\n{SECRETS[kind]}\n"
    rewrite(run, "record.json", lambda record: record.update(settings=[plant]))
    target = workdir.folder / "out.bundle"
    status = main(["bundle", run.name, "-o", str(target), "--store", str(workdir.folder / "store")])
    shown = "".join(capsys.readouterr())
    assert status == 2
    assert "record.json, line " in shown
    assert SECRETS[kind] not in shown
    assert not target.exists()


@pytest.mark.parametrize("kind", SECRETS)
def test_a_secret_is_seen_in_a_recipe_s_text(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(f"recipe: 1\nname: x  # {SECRETS[kind]}\n")
    with pytest.raises(InputError, match=r"recipe\.yaml, line 2"):
        check([("recipe.yaml", path)])


def test_what_only_looks_like_a_secret_is_let_through(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_text("\n".join(HARMLESS))
    check([("record.json", path)])


def test_what_the_environment_keeps_secret_does_not_leave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_HUB_TOKEN", "nothing-a-pattern-knows")
    monkeypatch.setenv("USER", "birbal-the-wise")
    monkeypatch.setenv("LOGNAME", "birbal-the-wise")
    path = tmp_path / "record.json"
    for text in ("nothing-a-pattern-knows", "by birbal-the-wise"):
        path.write_text(text)
        with pytest.raises(InputError) as caught:
            check([("record.json", path)])
        assert text not in str(caught.value)
    check([("record.json", path)], allowed=("birbal-the-wise",))


def test_a_damaged_artifact_is_not_bundled(own_run: Ran, tmp_path: Path) -> None:
    workdir, document = own_run
    for path in (workdir.folder / "store" / "artifacts").rglob("values.json"):
        path.chmod(0o644)
        path.write_bytes(path.read_bytes() + b" ")
    recipe(workdir, "bundle", Path(document["run"]).name, "-o", str(tmp_path / "x"), status=3)
    assert not (tmp_path / "x").exists()


def test_any_tar_tool_reads_it(packed: tuple[Workdir, Path, Any]) -> None:
    with tarfile.open(packed[1]) as archive:
        assert archive.getnames()[0] == "bundle.json"
        assert {one.mtime for one in archive} == {0}
        assert {one.isreg() for one in archive} == {True}
