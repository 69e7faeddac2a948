"""Compute digests: canonical JSON, files, tables and tensors; derive seeds and draws.

Every digest is sha256 over a preimage that starts with its kind, `khichdi/<kind>/1` and a zero
byte, so that no two kinds of thing can share a digest. JSON is in the canonical form of RFC 8785.

Laws (tested): key order does not change a digest; the digest of a table does not depend on how
its rows are cut into batches; the digest of tensors does not depend on their order in a file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rfc8785

from .file_hashing import file_sha256 as file_sha256

if TYPE_CHECKING:
    import pyarrow as pa

CHUNK = 1 << 20

TensorDigest = tuple[str, list[int], str]
"""The type of a tensor, its shape, and the sha256 of its bytes."""


def digest(kind: str, value: Any) -> str:
    """Return the digest of a JSON value as a thing of this kind.

    Raises:
        ValueError: the value has NaN, an infinity, or an integer beyond 2**53 - 1.
    """
    preimage = f"khichdi/{kind}/1\0".encode() + rfc8785.dumps(value)
    return "sha256:" + hashlib.sha256(preimage).hexdigest()


def sha256_of(data: bytes) -> str:
    """Return `sha256:...` of bytes."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def manifest_digest(files: Mapping[str, tuple[int, str]]) -> str:
    """Return the digest of a folder: each path bound to its size and sha256."""
    return digest("manifest", {path: [size, sha] for path, (size, sha) in files.items()})


def derive_seed(seed: int, place: str) -> int:
    """Return the seed of one place of a recipe, 0 <= seed < 2**48.

    Each step draws from its own seed, so adding a step never moves another's randomness.
    """
    preimage = f"khichdi/seed/1\0{seed}\0{place}".encode()
    return int.from_bytes(hashlib.sha256(preimage).digest()[:6], "big")


def draws(seed: int, ids: Iterable[str]) -> list[int]:
    """Return one number per id, uniform in 0 <= n < 2**64, a function of seed and id alone.

    Sampling by these (keep the smallest, or those below a bound) does not depend on row order,
    batches or workers, and another source never changes which rows of this one survive.
    """
    keyed = hashlib.sha256(f"khichdi/draw/1\0{seed}\0".encode())
    numbers = []
    for row_id in ids:
        state = keyed.copy()
        state.update(row_id.encode())
        numbers.append(int.from_bytes(state.digest()[:8], "big"))
    return numbers


# ---- tables ---------------------------------------------------------------------------------


class TableDigest:
    """The digest of a table's logical content, fed batch by batch.

    Per column and nesting level three streams are hashed: which values are there (one byte a
    value), how long they are (eight bytes little-endian, strings, bytes and lists only), and the
    bytes of those that are there. Column names, types and the number of rows are bound at the end.
    Large and small variants of a type (`large_string`, `string`) give one digest.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self._names = list(schema.names)
        self._types = [_type_name(field.type) for field in schema]
        self._streams: list[dict[str, Any]] = [{} for _ in self._names]
        self._rows = 0
        # Every stream is there from the start, so that a table of no batches has them too.
        for field, streams in zip(schema, self._streams, strict=True):
            _feed(_no_values(field.type), streams, "")

    def update(self, batch: pa.RecordBatch) -> None:
        """Feed the next rows; the batch has the schema's columns in the schema's order."""
        self._rows += batch.num_rows
        for column, streams in zip(batch.columns, self._streams, strict=True):
            _feed(column, streams, "")

    def hexdigest(self) -> str:
        """Return `sha256:...` of everything fed so far."""
        columns = [
            [name, kind, {level: state.hexdigest() for level, state in streams.items()}]
            for name, kind, streams in zip(self._names, self._types, self._streams, strict=True)
        ]
        return digest("table", {"columns": columns, "rows": self._rows})


def table_digest(table: pa.Table) -> str:
    """Return the digest of a whole table."""
    state = TableDigest(table.schema)
    for batch in table.to_batches():
        state.update(batch)
    return state.hexdigest()


def _no_values(kind: pa.DataType) -> pa.Array:
    import pyarrow as pa

    return pa.array([], kind)


def _type_name(kind: pa.DataType) -> str:
    import pyarrow.types as is_

    if is_.is_list(kind) or is_.is_large_list(kind):
        return f"list<{_type_name(kind.value_type)}>"
    if is_.is_struct(kind):
        fields = (kind.field(i) for i in range(kind.num_fields))
        return "struct<" + ", ".join(f"{f.name}: {_type_name(f.type)}" for f in fields) + ">"
    return str(kind).removeprefix("large_")


def _feed(array: pa.Array, streams: dict[str, Any], level: str) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.types as is_

    def stream(name: str) -> Any:
        return streams.setdefault(f"{level}/{name}", hashlib.sha256())

    kind = array.type
    stream("valid").update(array.is_valid().cast(pa.uint8()).to_numpy(zero_copy_only=False))
    there = array.drop_null()
    if is_.is_struct(kind):
        for index in range(kind.num_fields):
            child = pc.struct_field(there, indices=[index])
            _feed(child, streams, f"{level}/{kind.field(index).name}")
    elif is_.is_list(kind) or is_.is_large_list(kind):
        lengths = pc.list_value_length(there).cast(pa.int64())
        stream("lengths").update(lengths.to_numpy(zero_copy_only=False))
        _feed(there.flatten(), streams, f"{level}/item")
    elif is_.is_string(kind) or is_.is_large_string(kind) or is_.is_binary(kind):
        data = there.cast(pa.large_binary())
        lengths = pc.binary_length(data).cast(pa.int64())
        stream("lengths").update(lengths.to_numpy(zero_copy_only=False))
        stream("bytes").update(_string_bytes(data))
    elif is_.is_boolean(kind):
        stream("bytes").update(there.cast(pa.uint8()).to_numpy(zero_copy_only=False))
    elif is_.is_integer(kind) or is_.is_floating(kind):
        stream("bytes").update(there.to_numpy(zero_copy_only=False))
    else:
        raise ValueError(f"a table column of type {kind} has no digest")


def _string_bytes(data: pa.Array) -> memoryview:
    """Return the concatenated bytes of a `large_binary` array without nulls."""
    import numpy as np

    _, offsets, values = data.buffers()
    if values is None or len(data) == 0:
        return memoryview(b"")
    bounds = np.frombuffer(offsets, dtype=np.int64)[data.offset : data.offset + len(data) + 1]
    return memoryview(values)[int(bounds[0]) : int(bounds[-1])]


# ---- tensors --------------------------------------------------------------------------------


def tensors_digest(tensors: Mapping[str, tuple[str, tuple[int, ...], bytes | memoryview]]) -> str:
    """Return the digest of named tensors given as (dtype, shape, little-endian row-major bytes).

    Files of the same tensors differ (safetensors writes its metadata in no stable order), so
    weights are compared by this, never by the file's sha256 alone.
    """
    return digest("tensors", described_tensors(tensors))


def described_tensors(
    tensors: Mapping[str, tuple[str, tuple[int, ...], bytes | memoryview]],
) -> dict[str, TensorDigest]:
    """Return dtype, shape and sha256 of each tensor: what `tensors_digest` is over."""
    return {
        name: (dtype, list(shape), "sha256:" + hashlib.sha256(data).hexdigest())
        for name, (dtype, shape, data) in tensors.items()
    }


def safetensors_digest(path: Path) -> str:
    """Return the tensors digest of a safetensors file, reading its header and bytes directly.

    Raises:
        ValueError: the file is not safetensors.
    """
    return digest("tensors", described_safetensors(path))


def described_safetensors(path: Path) -> dict[str, TensorDigest]:
    """Return dtype, shape and sha256 of each tensor of a safetensors file.

    Each byte of the file belongs to one tensor, as the format has it: a header that names the same
    bytes many times would be hashed as many times.

    Raises:
        ValueError: the file is not safetensors.
    """
    import json
    import mmap

    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        size = int.from_bytes(data[:8], "little")
        if size > len(data) - 8:
            raise ValueError(f"{path.name}: the safetensors header is longer than the file")
        header: dict[str, Any] = json.loads(data[8 : 8 + size])
        header.pop("__metadata__", None)
        spans = sorted(tuple(entry["data_offsets"]) for entry in header.values())
        ends = [0, *(last for _, last in spans)]
        if [first for first, _ in spans] != ends[:-1] or ends[-1] != len(data) - 8 - size:
            raise ValueError(f"{path.name}: its tensors overlap, or leave bytes between them")
        found: dict[str, TensorDigest] = {}
        for name, entry in header.items():
            first, last = (8 + size + offset for offset in entry["data_offsets"])
            one = {name: (entry["dtype"], tuple(entry["shape"]), data[first:last])}
            found |= described_tensors(one)
        return found
