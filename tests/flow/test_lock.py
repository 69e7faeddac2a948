"""`recipe lock --check` says for CI what would change, and a damaged lock is refused by name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from khichdi.runtime.store.runs import keep_recipe
from khichdi.schema.lock import Distribution, Lock

from .conftest import Kitchen

Warm = tuple[Kitchen, Any]


def lock_of(kitchen: Kitchen) -> Lock:
    path = kitchen.folder / "pico.lock"
    return Lock.from_json(path.read_bytes(), "pico.lock")


def test_a_complete_lock_passes_and_what_would_change_is_said(warm: Warm) -> None:
    kitchen, _ = warm
    assert kitchen.json("lock", "pico.yaml", "--check")["complete"]
    lock = lock_of(kitchen)
    materials = {**lock.materials, "data/gone/source": lock.materials["base"]}
    plugins = (Distribution(name="khichdi", version="0.0.1"),)
    (kitchen.folder / "pico.lock").write_text(
        lock.model_copy(update={"materials": materials, "plugins": plugins}).to_text()
    )
    found = kitchen.json("lock", "pico.yaml", "--check", status=1)
    assert found["unused"] == ["data/gone/source"]
    assert found["plugins"]["khichdi"][0] == "0.0.1"
    kitchen.json("lock", "pico.yaml")
    assert kitchen.json("lock", "pico.yaml", "--check")["unused"] == []


def test_a_stale_source_is_named_and_update_pins_it_alone(warm: Warm) -> None:
    kitchen, _ = warm
    before = lock_of(kitchen)
    for name in ("capitals", "colours"):
        path = kitchen.folder / f"{name}.jsonl"
        path.write_text(path.read_text().replace("Rome", "Lima"))
    kitchen.json("lock", "pico.yaml", "--update", "data/colours/source")
    after = lock_of(kitchen)
    changed = [name for name in after.materials if after.materials[name] != before.materials[name]]
    assert changed == ["data/colours/source"]
    kitchen.edit("include: [colours.jsonl]", "include: ['colours.*']")
    found = kitchen.json("lock", "pico.yaml", "--check", status=1)
    assert found["missing"] == ["data/colours/source"]


def test_a_damaged_lock_is_refused_and_named(warm: Warm) -> None:
    kitchen, _ = warm
    path = kitchen.folder / "pico.lock"
    path.write_text(path.read_text().replace('"use": "files"', '"use": "filez"', 1))
    code, out, err = kitchen.call("run", "pico.yaml")
    assert code == 2
    assert "pico.lock" in out + err
    assert "not as it was written" in out + err


def test_the_record_has_the_interpreter_s_distributions_and_the_lock_s_seal(warm: Warm) -> None:
    kitchen, document = warm
    record = kitchen.json("runs", Path(document["run"]).name)
    installed = {one["name"]: one["version"] for one in record["installed"]}
    assert {"pydantic", "torch"} <= installed.keys()
    assert record["lock"] == lock_of(kitchen).seal()
    assert [file["path"] for file in record["files"]] == ["pico.yaml"]


def test_a_recipe_s_files_keep_their_places_below_it_and_no_others(tmp_path: Path) -> None:
    (tmp_path / "home" / "parts").mkdir(parents=True)
    (tmp_path / "away").mkdir()
    paths = [
        tmp_path / name
        for name in ("home/a.yaml", "home/parts/b.yaml", "away/c.yaml", "away/a.yaml")
    ]
    for path in paths:
        path.write_text(path.name)
    kept = keep_recipe(tmp_path / "run", paths)
    assert [file.path for file in kept] == ["a.yaml", "parts/b.yaml", "c.yaml", "3-a.yaml"]
    assert all((tmp_path / "run" / file.path).is_file() for file in kept)


def base_on_a_hub(kitchen: Kitchen, root: Path, **changes: Any) -> Path:
    """Move the base to a mirror's place for a repository of a hub that cannot be reached."""
    place = root / "huggingface" / "models" / "team" / "base"
    place.parent.mkdir(parents=True)
    shutil.copytree(kitchen.folder / "base", place)
    path = place / "config.json"
    path.chmod(0o644)
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    hub = "{use: huggingface, repo: team/base}"
    kitchen.edit('{use: files, folder: base, include: ["*"]}', hub)
    kitchen.environment = {"HF_ENDPOINT": "http://127.0.0.1:9"}
    return root


def test_a_base_that_cannot_be_trained_is_refused_before_its_weights_are_fetched(
    kitchen: Kitchen, tmp_path: Path
) -> None:
    mirror = base_on_a_hub(kitchen, tmp_path / "mirror", model_type="xlnet")
    status, _, err = kitchen.call("lock", "pico.yaml", "--mirror", str(mirror))
    assert status == 2
    assert "pico.yaml:5:3: the base cannot be trained: xlnet sees later tokens" in err
    assert not (kitchen.folder / "pico.lock").exists()


def test_a_lock_lets_the_plan_know_the_base(kitchen: Kitchen, tmp_path: Path) -> None:
    mirror = base_on_a_hub(kitchen, tmp_path / "mirror", model_type="bloom")
    assert kitchen.json("plan", "pico.yaml")["base"] is None
    locked = kitchen.json("lock", "pico.yaml", "--mirror", str(mirror))
    assert locked["base"]["layout"] == "unpacked"
    assert kitchen.json("plan", "pico.yaml")["base"]["layout"] == "unpacked"
    assert not list((kitchen.folder / "store").rglob("*.safetensors"))
