"""`recipe lock --check` says for CI what would change, and a damaged lock is refused by name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from khichdi.runtime.store.runs import keep_recipe
from khichdi.schema.lock import Distribution, Lock

from .conftest import Workdir

Ran = tuple[Workdir, Any]


def lock_of(workdir: Workdir) -> Lock:
    path = workdir.folder / "pico.lock"
    return Lock.from_json(path.read_bytes(), "pico.lock")


def test_a_complete_lock_passes_and_what_would_change_is_said(own_run: Ran) -> None:
    workdir, _ = own_run
    assert workdir.json("lock", "pico.yaml", "--check")["complete"]
    lock = lock_of(workdir)
    materials = {**lock.materials, "data/gone/source": lock.materials["base"]}
    plugins = (Distribution(name="khichdi", version="0.0.1"),)
    (workdir.folder / "pico.lock").write_text(
        lock.model_copy(update={"materials": materials, "plugins": plugins}).to_text()
    )
    found = workdir.json("lock", "pico.yaml", "--check", status=1)
    assert found["unused"] == ["data/gone/source"]
    assert found["plugins"]["khichdi"][0] == "0.0.1"
    ran = Path(workdir.json("run", "pico.yaml", "--set", "name=again")["run"])
    kept = Lock.from_json((ran / "recipe" / "again.lock").read_bytes(), "again.lock")
    assert kept.materials == lock.materials  # a run's lock has what its plan uses, and no more
    workdir.json("lock", "pico.yaml")
    assert workdir.json("lock", "pico.yaml", "--check")["unused"] == []


def test_a_stale_source_is_named_and_update_pins_it_alone(own_run: Ran) -> None:
    workdir, _ = own_run
    before = lock_of(workdir)
    for name in ("capitals", "colours"):
        path = workdir.folder / f"{name}.jsonl"
        path.write_text(path.read_text().replace("Rome", "Lima"))
    workdir.json("lock", "pico.yaml", "--update", "data/colours/source")
    after = lock_of(workdir)
    changed = [name for name in after.materials if after.materials[name] != before.materials[name]]
    assert changed == ["data/colours/source"]
    workdir.edit("include: [colours.jsonl]", "include: ['colours.*']")
    found = workdir.json("lock", "pico.yaml", "--check", status=1)
    assert found["missing"] == ["data/colours/source"]


def test_a_damaged_lock_is_refused_and_named(own_run: Ran) -> None:
    workdir, _ = own_run
    path = workdir.folder / "pico.lock"
    path.write_text(path.read_text().replace('"use": "files"', '"use": "filez"', 1))
    code, out, err = workdir.call("run", "pico.yaml")
    assert code == 2
    assert "pico.lock" in out + err
    assert "not as it was written" in out + err


def test_the_record_has_the_interpreter_s_distributions_and_the_lock_s_seal(own_run: Ran) -> None:
    workdir, document = own_run
    record = workdir.json("runs", Path(document["run"]).name)
    installed = {one["name"]: one["version"] for one in record["installed"]}
    assert {"pydantic", "torch"} <= installed.keys()
    assert record["lock"] == lock_of(workdir).seal()
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


def base_on_a_hub(workdir: Workdir, root: Path, **changes: Any) -> Path:
    """Move the base to a mirror's place for a repository of a hub that cannot be reached."""
    place = root / "huggingface" / "models" / "team" / "base"
    place.parent.mkdir(parents=True)
    shutil.copytree(workdir.folder / "base", place)
    path = place / "config.json"
    path.chmod(0o644)
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    hub = "{use: huggingface, repo: team/base}"
    workdir.edit('{use: files, folder: base, include: ["*"]}', hub)
    workdir.environment = {"HF_ENDPOINT": "http://127.0.0.1:9"}
    return root


def test_a_base_that_cannot_be_trained_is_refused_before_its_weights_are_fetched(
    workdir: Workdir, tmp_path: Path
) -> None:
    mirror = base_on_a_hub(workdir, tmp_path / "mirror", model_type="xlnet")
    status, _, err = workdir.call("lock", "pico.yaml", "--mirror", str(mirror))
    assert status == 2
    assert "pico.yaml:5:3: the base cannot be trained: xlnet sees later tokens" in err
    assert not (workdir.folder / "pico.lock").exists()


def test_a_lock_lets_the_plan_know_the_base(workdir: Workdir, tmp_path: Path) -> None:
    mirror = base_on_a_hub(workdir, tmp_path / "mirror", model_type="bloom")
    assert workdir.json("plan", "pico.yaml")["base"] is None
    locked = workdir.json("lock", "pico.yaml", "--mirror", str(mirror))
    assert locked["base"]["layout"] == "unpacked"
    assert workdir.json("plan", "pico.yaml")["base"]["layout"] == "unpacked"
    assert not list((workdir.folder / "store").rglob("*.safetensors"))


def test_a_chat_template_that_reads_the_clock_is_refused_before_weights_are_fetched(
    workdir: Workdir, tmp_path: Path
) -> None:
    workdir.edit("template: {use: alpaca}", "template: {use: chat}")
    dated = "{{ strftime_now('%Y') }}{% for m in messages %}{{ m.content }}{% endfor %}"
    (workdir.folder / "base" / "chat_template.jinja").write_text(dated)
    mirror = base_on_a_hub(workdir, tmp_path / "mirror")
    status, _, err = workdir.call("lock", "pico.yaml", "--mirror", str(mirror))
    assert status == 2
    assert "writes the day on which it is rendered (strftime_now)" in err
    assert not (workdir.folder / "pico.lock").exists()
