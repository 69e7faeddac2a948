"""Forgeries of what a run made: tables, tensors, values, configurations, and whole steps."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from khichdi.runtime.audit.audited_run import open_claim
from khichdi.runtime.training_states import _as_found, read_states
from khichdi.schema.errors import KhichdiError
from khichdi.schema.training_states import INDEX

from .forger import Forger
from .honest_runs import Honest
from .json_mutants import KINDS, Mutant, another_value, mutants_of, mutate, text_of

FILE_KINDS = ("change", "delete", "add", "duplicate", "swap")
CHANGED_ROWS = (0, -1)


def artifact_mutants(honest: Honest) -> Iterator[Mutant]:
    """Yield mutants of every file of every artifact: as bytes, then by what it holds."""
    for name, output, path, folder in _files(honest):
        target = f"{name}#{output}"
        for kind in FILE_KINDS:
            for depth in ("alone", "followed"):
                yield Mutant("artifact", kind, depth, target, (path,))
        for kind, place in _inside(folder / path):
            yield Mutant("artifact", kind, "followed", target, (path, *place))


def _files(honest: Honest) -> Iterator[tuple[str, str, str, Path]]:
    claim = open_claim(honest.run, "run", (honest.store,))
    for step, output, made, _ in claim.outputs():
        folder = claim.artifact(made)
        assert folder is not None
        for path in made.files:
            yield step.name, output, path, folder


def _inside(path: Path) -> Iterator[tuple[str, tuple[str | int, ...]]]:
    """Yield (kind, place) of what can be changed inside a file."""
    if path.suffix == ".json" and path.name != "tokenizer.json":
        for one in mutants_of("", "", "", json.loads(path.read_bytes())):
            yield one.kind, one.place
    elif path.suffix == ".arrow":
        yield from _inside_table(_read(path))
    elif path.suffix == ".safetensors":
        for name in _tensors(path):
            for kind in KINDS:
                yield kind, ("tensor", name)


def _inside_table(table: Any) -> Iterator[tuple[str, tuple[str | int, ...]]]:
    for row in CHANGED_ROWS if table.num_rows else ():
        for kind in ("delete", "duplicate", "swap"):
            yield kind, ("row", row)
        for column in table.column_names:
            yield "change", ("row", row, column)
    yield "add", ("column",)
    for column in table.column_names:
        yield "delete", ("column", column)


def forge_artifact(mutant: Mutant, forger: Forger, other: Honest) -> bool:
    """Change a file of an artifact; where asked, let documents, figures and copies follow."""
    name, output = mutant.target.split("#")
    known = forger.step(name)["result"]["outputs"][output]
    path, *place = mutant.place
    beside = _beside(other, name, output, str(path))
    if mutant.depth == "alone":
        folder = forger.folder(known)
        with_copy = forger.subject.store / "changed"
        shutil.copytree(folder, with_copy)
        changed = _change(mutant, with_copy / str(path), place, beside)
        shutil.rmtree(folder)
        with_copy.rename(folder)
        return changed
    before = forger.meaning()
    try:
        with forger.staged(name, output) as staged:
            changed = _change(mutant, staged / str(path), place, beside)
            if output == "states" and str(path).endswith(".safetensors"):
                _describe(staged)
    except (KeyError, OSError):
        return False
    forger.follow_artifact(name, output)
    forger.seal()
    return changed and forger.meaning() != before


def _describe(folder: Path) -> None:
    """Let the index of a training's states describe the tensors that are there."""
    states = read_states(folder)
    bounds = tuple(_as_found(state, folder) if state.kept else state for state in states.bounds)
    made = states.model_copy(update={"bounds": bounds})
    (folder / INDEX).unlink()
    (folder / INDEX).write_text(made.model_dump_json(indent=1) + "\n")


def _beside(other: Honest, name: str, output: str, path: str) -> Path | None:
    claim = open_claim(other.run, "other", (other.store,))
    for step, found, made, _ in claim.outputs():
        if (step.name, found) == (name, output) and path in made.files:
            folder = claim.artifact(made)
            return folder / path if folder else None
    return None


def _change(mutant: Mutant, path: Path, place: list[Any], beside: Path | None) -> bool:
    if not place:
        return _bytes(mutant.kind, path, beside)
    if path.suffix == ".json":
        value = json.loads(path.read_bytes())
        another = json.loads(beside.read_bytes()) if beside else None
        changed = mutate(value, another, mutant.kind, tuple(place))
        path.unlink()
        path.write_text(text_of(json.dumps(value, indent=1, sort_keys=True)))
        return changed
    if place[0] == "tensor":
        return _tensor(mutant.kind, path, str(place[1]), beside)
    return _table(mutant.kind, path, place, beside)


def _bytes(kind: str, path: Path, beside: Path | None) -> bool:
    raw = path.read_bytes()
    if kind == "swap" and (beside is None or beside.read_bytes() == raw):
        return False
    if kind == "add":
        path.with_name(f"{path.name}.bin").write_bytes(b"\x80\x04.")
        return True
    if kind == "duplicate":
        shutil.copyfile(path, path.with_name(f"copy-{path.name}"))
        return True
    path.unlink()
    if kind == "change":
        middle = len(raw) // 2
        path.write_bytes(raw[:middle] + bytes([raw[middle] ^ 1]) + raw[middle + 1 :])
    elif kind == "swap" and beside is not None:
        shutil.copyfile(beside, path)
    return True


# ---- tables ---------------------------------------------------------------------------------


def _read(path: Path) -> Any:
    import pyarrow as pa

    with pa.ipc.open_file(path) as file:
        return file.read_all()


def _table(kind: str, path: Path, place: list[Any], beside: Path | None) -> bool:
    import pyarrow as pa

    from khichdi.runtime.tables import write_table

    table = _read(path)
    made = table
    if place[0] == "column":
        if kind == "delete":
            made = table.drop_columns([place[1]])
        else:
            made = table.append_column("extra", pa.array(["x"] * table.num_rows))
    else:
        rows, row = table.to_pylist(), place[1] % table.num_rows
        if kind == "change":
            rows[row][place[2]] = _cell(rows[row][place[2]], table.schema.field(place[2]).type)
        elif kind == "swap":
            others = _read(beside).to_pylist() if beside else []
            rows[row] = others[row] if row < len(others) else rows[row - 1]
        else:
            rows[row : row + 1] = [rows[row]] * (2 if kind == "duplicate" else 0)
        try:
            made = pa.Table.from_pylist(rows, table.schema)
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            return False
    if made.equals(table) and made.schema.equals(table.schema):
        return False
    path.unlink()
    write_table(path.parent, made)
    return True


def _cell(value: Any, of: Any) -> Any:
    import pyarrow as pa

    if value is None:
        empty = [] if pa.types.is_list(of) or pa.types.is_large_list(of) else 1
        return "x" if pa.types.is_string(of) or pa.types.is_large_string(of) else empty
    if isinstance(value, bytes):
        return bytes([value[0] ^ 1]) + value[1:] if value else b"x"
    if isinstance(value, list) and value:
        return [_cell(value[0], None) if value[0] is not None else 1, *value[1:]]
    return [] if isinstance(value, dict | list) else another_value(value)


# ---- tensors --------------------------------------------------------------------------------


def _tensors(path: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return dict(load_file(path))


def _tensor(kind: str, path: Path, name: str, beside: Path | None) -> bool:
    import torch
    from safetensors.torch import save_file

    found = _tensors(path)
    tensor = found[name]
    if kind == "delete":
        del found[name]
    elif kind in ("add", "duplicate"):
        found[f"{name}.{'extra' if kind == 'add' else 'copy'}"] = tensor.clone()
    elif kind == "swap":
        others = _tensors(beside) if beside else {}
        if name not in others or torch.equal(others[name], tensor):
            return False
        found[name] = others[name]
    else:
        flat = tensor.clone().contiguous()
        raw = flat.reshape(-1).view(torch.uint8)
        raw[len(raw) // 2] ^= 1
        found[name] = flat
    path.unlink()
    save_file(found, path, metadata={"format": "pt"})
    return True


# ---- steps ----------------------------------------------------------------------------------


def splice_mutants(honest: Honest) -> Iterator[Mutant]:
    """Yield, for each step, the other run's output, result, and all results from there on."""
    claim = open_claim(honest.run, "run", (honest.store,))
    for step in claim.record.steps:
        for output in step.result.outputs:
            yield Mutant("step", "swap", "followed", step.name, (output,))
        yield Mutant("step", "swap", "followed", step.name, ("result",))
        yield Mutant("step", "swap", "followed", step.name, ("result", "and those after it"))
        yield Mutant("step", "delete", "followed", step.name)
        yield Mutant("step", "duplicate", "followed", step.name)


def forge_step(mutant: Mutant, forger: Forger, other: Honest) -> bool:
    """Take results of another honest run for a step's own."""
    steps, before = forger.record["steps"], forger.meaning()
    at = next(n for n, step in enumerate(steps) if step["name"] == mutant.target)
    if mutant.kind == "delete":
        del steps[at]
        del forger.plan["steps"][at]
        forger.follow("plan.json")
    elif mutant.kind == "duplicate":
        steps.insert(at, json.loads(json.dumps(steps[at])))
        forger.plan["steps"].insert(at, json.loads(json.dumps(forger.plan["steps"][at])))
        forger.follow("plan.json")
    else:
        last = len(steps) if mutant.place[1:] else at + 1
        theirs = {
            step.name: step for step in open_claim(other.run, "o", (other.store,)).record.steps
        }
        for step in steps[at:last]:
            if step["name"] in theirs:
                _take(forger, step, theirs[step["name"]], mutant.place, other)
        try:
            forger.follow_artifact(mutant.target, str(mutant.place[0]))
        except KhichdiError:
            return False
    forger.seal()
    return forger.meaning() != before


def _take(forger: Forger, step: Any, theirs: Any, place: tuple[Any, ...], other: Honest) -> None:
    whole = place[0] == "result"
    for name, output in theirs.result.outputs.items():
        if not whole and name != place[0]:
            continue
        folder = other.store / "artifacts" / output.manifest.removeprefix("sha256:")
        step["result"]["outputs"].setdefault(name, output.to_json())
        forger.adopt(step["name"], name, folder)
    if whole:
        step["result"]["facts"] = json.loads(json.dumps(dict(theirs.result.facts)))
