"""A forger: changes what a run says and makes everything that can be made to agree agree."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from khichdi.runtime.audit.artifacts import content_digest
from khichdi.runtime.store.store import Store
from khichdi.schema.lock import Lock
from khichdi.schema.plan import Plan, result_hash
from khichdi.schema.record import Output, Record
from khichdi.schema.seal import SEAL

DOCUMENTS: dict[str, type[Record] | type[Plan] | type[Lock]] = {
    "record.json": Record,
    "plan.json": Plan,
    "recipe/pico.lock": Lock,
}


def rewrite(run: Path, name: str, change: Callable[[Any], None]) -> None:
    """Change a sealed document of a run, and seal it again."""
    model = DOCUMENTS[name]
    value = model.from_json((run / name).read_bytes(), name).to_json()
    change(value)
    (run / name).write_text(model.model_validate(value).to_text())


def reseal(run: Path, name: str, change: Callable[[Any], None]) -> None:
    """Change a sealed document in a way that its own model would refuse, and seal it again."""
    model = DOCUMENTS[name]
    value = json.loads((run / name).read_bytes())
    value.pop(SEAL)
    change(value)
    (run / name).write_text(model._text({**value, SEAL: model._seal(value)}))


def retrain(run: Path, store: Path, change: Callable[[Any], None]) -> None:
    """Change a training's trace, and make its metrics and every figure made of it fit."""
    from khichdi.plugins.builtin.runtime.qlora.trace_metrics import trace_metrics

    found: dict[str, float] = {}

    def changed(trace: Any) -> None:
        change(trace)
        found.update(trace_metrics(trace, best=True))

    forge(run, store, "train", "trace", change_values(changed))

    def claim(document: Any) -> None:
        step(document, "train")["result"]["facts"]["metrics"].update(found)
        document["metrics"].update(found)

    rewrite(run, "record.json", claim)


def step(document: Any, name: str) -> Any:
    return next(step for step in document["steps"] if step["name"] == name)


def forge(run: Path, store: Path, name: str, output: str, change: Callable[[Path], None]) -> None:
    """Change an artifact, and make file digests, content digest and result hash fit it."""
    kept = Store(store)
    record = Record.from_json((run / "record.json").read_bytes(), "record.json")
    before = next(s for s in record.steps if s.name == name).result.outputs[output]
    with kept.staging() as staging:
        copy = staging / output
        shutil.copytree(kept.folder(before), copy)
        for path in copy.rglob("*"):
            path.chmod(0o644)
        change(copy)
        made = kept.publish(copy, before.kind)
    try:
        digest = content_digest(made, kept.folder(made))
    except ValueError:  # an audit refuses to read it: the forger keeps the digest that was there
        digest = before.digest
    made = Output.model_validate({**made.to_json(), "digest": digest})

    def claim(document: Any) -> None:
        step(document, name)["result"]["outputs"][output] = made.to_json()
        steps = Record.model_validate(document).steps
        document["result_hash"] = result_hash({s.name: s.digests() for s in steps})

    rewrite(run, "record.json", claim)
    if output == "adapter":
        for path in kept.folder(made).iterdir():
            (run / "adapter" / path.name).unlink()
            shutil.copyfile(path, run / "adapter" / path.name)


def poison(run: Path, store: Path, name: str, row: int, value: str) -> None:
    """Change the output of a row that a step gives, there and in every later table that has it."""
    from khichdi.runtime.tables import read_table

    record = Record.from_json((run / "record.json").read_bytes(), "record.json")
    wanted: str | None = None
    for one in record.steps:
        for output, made in one.result.outputs.items():
            if made.kind != "rows" or (wanted is None and one.name != name):
                continue
            ids = read_table(Store(store).folder(made)).column("id").to_pylist()
            wanted = wanted or ids[row]
            if wanted in ids:
                forge(run, store, one.name, output, change_row(ids.index(wanted), "output", value))


def change_values(change: Callable[[Any], None]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        path = folder / "values.json"
        value = json.loads(path.read_text())
        change(value)
        path.write_text(json.dumps(value))

    return apply


def change_row(row: int, column: str, value: str) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        import pyarrow as pa

        from khichdi.runtime.tables import write_table

        with pa.ipc.open_file(folder / "table.arrow") as file:
            rows, schema = file.read_all().to_pylist(), file.schema
        rows[row][column] = value
        (folder / "table.arrow").unlink()
        write_table(folder, pa.Table.from_pylist(rows, schema))

    return apply


def flip_in_tensor(name: str, element: int) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        path = folder / "adapter_model.safetensors"
        raw = bytearray(path.read_bytes())
        size = int.from_bytes(raw[:8], "little")
        entry = json.loads(raw[8 : 8 + size])[name]
        raw[8 + size + entry["data_offsets"][0] + 4 * element] ^= 1
        path.write_bytes(raw)

    return apply
