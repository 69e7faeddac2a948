"""Files that were forged, added or put in front of others, by what the forger wanted."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from forgery import forge, poison, rewrite, step

from khichdi.runtime.store.store import Store
from khichdi.schema.record import Record

from .forging import MODES, Ran, recipe
from .test_audit import audit, level, run_of


@pytest.mark.parametrize(
    ("source", "file", "expected"),
    [("base", "model.bin", "base weights"), ("data/capitals/source", "poison.jsonl", "sources")],
    ids=["another base model in front of the pinned shards", "poison among the pinned data"],
)
def test_a_file_that_the_lock_does_not_pin(
    own_run: Ran, source: str, file: str, expected: str
) -> None:
    store = own_run[0].folder / "store"
    forge(run_of(own_run), store, source, "files", lambda folder: (folder / file).write_text("x"))
    facts = step(json.loads((run_of(own_run) / "record.json").read_bytes()), source)["result"]
    sizes = [one["size"] for one in facts["outputs"]["files"]["files"].values()]
    rewrite(
        run_of(own_run), "record.json",
        lambda record: step(record, source)["result"]["facts"].update(
            files=len(sizes), bytes=sum(sizes)
        ),
    )  # fmt: skip
    for mode in MODES:
        found = audit(own_run[0], *mode, status=1)
        assert found["where"] == f"{expected}: step {source}#files, file {file}"


def test_a_store_whose_base_has_one_more_file(own_run: Ran) -> None:
    workdir, _ = own_run
    store = Store(workdir.folder / "store")
    record = Record.from_json((run_of(own_run) / "record.json").read_bytes(), "record.json")
    honest = next(one for one in record.steps if one.name == "base").result
    with store.staging() as staging:
        shutil.copytree(store.folder(honest.outputs["files"]), staging / "files")
        (staging / "files" / "pytorch_model.bin").write_bytes(b"x")
        made = store.publish(staging / "files", "files")
    store.forget(honest.key)
    store.keep(honest.model_copy(update={"outputs": {"files": made}}))
    workdir.edit("seed: 5", "seed: 6")
    status, out, err = workdir.call("run", "pico.yaml")
    assert status == 3
    assert "base does not hold exactly the pinned files" in out + err


def test_data_that_was_poisoned_before_an_honest_training(own_run: Ran) -> None:
    store = own_run[0].folder / "store"
    poison(run_of(own_run), store, "data/capitals/read", 7, "EVIL")
    assert level(audit(own_run[0]), "data")["basis"] == "hashed"
    found = audit(own_run[0], "--segments", "1", status=1)
    assert found["where"].startswith("data: step data/capitals/read#rows, row 7 ")
    assert found["replays"] == []


MEASURED = """
import resource, sys
from pathlib import Path
from khichdi.cli.main import main
status = main(sys.argv[1:])
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
own = Path("/proc/self/status")  # on Linux, as the other figure starts with the parent's peak
for line in own.read_text().splitlines() if own.is_file() else ():
    peak = int(line.split()[1]) if line.startswith("VmHWM:") else peak
print(peak >> 10, file=sys.stderr)
sys.exit(status)
"""


@pytest.mark.slow
def test_an_auditor_s_memory_filled_by_a_small_table(own_run: Ran, tmp_path: Path) -> None:
    """A gibibyte of zeros is 40 KB of zstd; an audit of the run and of its bundle refuses it."""
    import pyarrow as pa

    workdir, run, name = own_run[0], run_of(own_run), "data/capitals/read"
    store = Store(workdir.folder / "store")

    def audited(target: str) -> tuple[Any, int]:
        words = ["audit", target, "--json", "--store", str(store.root)]
        done = subprocess.run(
            [sys.executable, "-c", MEASURED, *words], capture_output=True, text=True, check=False
        )
        return json.loads(done.stdout), int(done.stderr.split()[-1])

    _, honest = audited(run.name)
    record = Record.from_json((run / "record.json").read_bytes(), "record.json")
    rows = next(one for one in record.steps if one.name == name).result.outputs["rows"]
    with store.staging() as staging:
        (staging / "rows").mkdir()
        zeros = pa.table({"a": pa.array([bytes(1 << 30)], pa.binary()).view(pa.string())})
        options = pa.ipc.IpcWriteOptions(compression="zstd")
        with pa.ipc.new_file(
            staging / "rows" / "table.arrow", zeros.schema, options=options
        ) as file:
            file.write_table(zeros)
        made = store.publish(staging / "rows", "rows", rows.digest).to_json()
    rewrite(
        run, "record.json",
        lambda record: step(record, name)["result"]["outputs"].update(rows=made),
    )  # fmt: skip
    bundle = tmp_path / "run.bundle"
    allow = ("--allow", name)  # which a forger's own bundling would not need
    assert recipe(workdir, "bundle", run.name, "--with-data", *allow, "-o", str(bundle))[0] == 0
    for target in (run.name, str(bundle)):
        found, peak = audited(target)
        assert found["where"] == f"data: step {name}#rows, content digest"
        finding = next(one for one in found["levels"] if one["level"] == "data")["findings"][0]
        assert finding["derived"] == "it cannot be read: the table is compressed"
        assert peak < honest + 64, f"{peak} MiB, an honest run takes {honest}"


@pytest.mark.parametrize("gone", [False, True], ids=["beside it", "in its place"])
def test_a_pickle_that_people_load_instead_of_the_adapter(own_run: Ran, gone: bool) -> None:
    folder = run_of(own_run) / "adapter"
    (folder / "adapter_model.bin").write_bytes(b"\x80\x04.")
    if gone:
        (folder / "adapter_model.safetensors").unlink()
    assert "copy adapter/adapter_model.bin" in audit(own_run[0], status=1)["where"]
