"""Find where two artifacts first differ: the file, row, tensor or training step."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...schema.digest import file_sha256
from ...schema.training_states import State
from ..adapter_files import CONFIG, WEIGHTS
from ..training_states import read_states
from .documents import first_difference

if TYPE_CHECKING:
    import pyarrow as pa

Difference = tuple[str, Any, Any]
"""A place in words, the claimed value, and the derived one."""


def difference(kind: str, claimed: Path, derived: Path) -> Difference | None:
    """Return where two artifacts of a kind first differ; None where their contents are equal."""
    ways: dict[str, Callable[[Path, Path], Difference | None]] = {
        "rows": _tables,
        "drops": _tables,
        "packs": _tables,
        "values": _values,
        "adapter": _adapters,
        "states": _states,
    }
    return ways.get(kind, _files)(claimed, derived)


def _files(claimed: Path, derived: Path) -> Difference | None:
    names = {
        path.relative_to(folder).as_posix()
        for folder in (claimed, derived)
        for path in folder.rglob("*")
        if path.is_file()
    }
    for name in sorted(names):
        shas = [file_sha256(f / name) if (f / name).is_file() else None for f in (claimed, derived)]
        if shas[0] != shas[1]:
            return f"file {name}", shas[0], shas[1]
    return None


def _values(claimed: Path, derived: Path) -> Difference | None:
    a, b = (json.loads((folder / "values.json").read_bytes()) for folder in (claimed, derived))
    if isinstance(a, list) and isinstance(b, list):
        for one, other in zip(a, b, strict=False):
            found = first_difference(one, other)
            if found and isinstance(one, dict) and "step" in one:
                return f"training step {one['step']}, {found[0]}", found[1], found[2]
    return first_difference(a, b)


def _tables(claimed: Path, derived: Path) -> Difference | None:
    from ..tables import read_table

    return table_difference(read_table(claimed), read_table(derived))


def table_difference(a: pa.Table, b: pa.Table) -> Difference | None:
    """Return where two tables first differ: the row and its field; None where they are equal."""
    if a.schema.names != b.schema.names:
        return "column names", a.schema.names, b.schema.names
    row = _first_row(a, b)
    if row is None:
        return None
    if row >= min(a.num_rows, b.num_rows):
        return f"row {row:,}: the number of rows", a.num_rows, b.num_rows
    one, other = a.slice(row, 1).to_pylist()[0], b.slice(row, 1).to_pylist()[0]
    name = f" (id {one['id']})" if "id" in one else ""
    found = first_difference(one, other) or ("type", str(a.schema), str(b.schema))
    return f"row {row:,}{name}, {found[0]}", _shown(found[1]), _shown(found[2])


def _first_row(a: pa.Table, b: pa.Table) -> int | None:
    """Return the first row that differs, by bisection: rows before `low` are known to be equal."""
    common = min(a.num_rows, b.num_rows)
    if a.slice(0, common).equals(b.slice(0, common)):
        return None if a.num_rows == b.num_rows else common
    low, high = 0, common
    while high - low > 1:
        middle = (low + high) // 2
        if a.slice(low, middle - low).equals(b.slice(low, middle - low)):
            low = middle
        else:
            high = middle
    return low


def _shown(value: Any) -> Any:
    """Return a value that JSON can hold."""
    if isinstance(value, tuple | list):
        return [_shown(item) for item in value]
    return value.hex() if isinstance(value, bytes) else value


def _adapters(claimed: Path, derived: Path) -> Difference | None:
    a, b = (json.loads((folder / CONFIG).read_bytes()) for folder in (claimed, derived))
    for config in (a, b):
        config.pop("peft_version", None)
    found = first_difference(a, b)
    if found:
        return f"{CONFIG}, {found[0]}", found[1], found[2]
    return tensors(claimed / WEIGHTS, derived / WEIGHTS)


def _states(claimed: Path, derived: Path) -> Difference | None:
    for one, other in zip(read_states(claimed).bounds, read_states(derived).bounds, strict=False):
        found = state(one, other, claimed / one.folder, derived / other.folder)
        if found:
            return f"state after step {one.step}, {found[0]}", found[1], found[2]
    return first_difference(read_states(claimed).to_json(), read_states(derived).to_json())


def state(
    one: State, other: State, claimed: Path | None, derived: Path | None
) -> Difference | None:
    """Return where two states first differ: the number, or the tensor and its element in files."""
    found = first_difference(one.numbers, other.numbers, "numbers")
    if found:
        return found
    for group in sorted(one.tensors.keys() | other.tensors.keys()):
        a, b = one.tensors.get(group, {}), other.tensors.get(group, {})
        name = next((n for n in sorted(a.keys() | b.keys()) if a.get(n) != b.get(n)), None)
        if name is None:
            continue
        files = [f / f"{group}.safetensors" for f in (claimed, derived) if f is not None]
        near = tensors(*files) if len(files) == 2 and all(f.is_file() for f in files) else None
        if near:
            return f"{group} {near[0]}", near[1], near[2]
        return f"{group} tensor {name}", _shown(a.get(name)), _shown(b.get(name))
    return None


def tensors(claimed: Path, derived: Path) -> Difference | None:
    """Return where two safetensors files first differ: the tensor and its element."""
    one, other = _header(claimed), _header(derived)
    for name in sorted(one.keys() | other.keys()):
        if name not in one or name not in other:
            return f"tensor {name}", name in one, name in other
        for what in ("dtype", "shape"):
            if one[name][what] != other[name][what]:
                return f"tensor {name}, {what}", one[name][what], other[name][what]
        a, b = _bytes(claimed, one[name]), _bytes(derived, other[name])
        if a != b:
            size = max(1, len(a) // max(1, _count(one[name]["shape"])))
            element = next(i for i, (x, y) in enumerate(zip(a, b, strict=True)) if x != y) // size
            at = slice(element * size, (element + 1) * size)
            return f"tensor {name}, element {element:,}", a[at].hex(), b[at].hex()
    return None


def _header(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header: dict[str, Any] = json.loads(file.read(size))
    header.pop("__metadata__", None)
    for entry in header.values():
        entry["start"] = 8 + size
    return header


def _bytes(path: Path, entry: dict[str, Any]) -> bytes:
    first, last = entry["data_offsets"]
    with path.open("rb") as file:
        file.seek(entry["start"] + first)
        return file.read(last - first)


def _count(shape: list[int]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count
