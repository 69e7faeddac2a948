"""Digests: the laws that their docstrings state."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from khichdi.schema.digest import (
    TableDigest,
    derive_seed,
    described_safetensors,
    digest,
    draws,
    file_sha256,
    manifest_digest,
    safetensors_digest,
    table_digest,
    tensors_digest,
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), json_values, max_size=6))
def test_key_order_does_not_change_a_digest(value: dict[str, object]) -> None:
    assert digest("x", value) == digest("x", dict(reversed(value.items())))


@given(json_values, json_values)
def test_other_values_have_other_digests(one: object, other: object) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (digest("x", one) == digest("x", other)) == same


def test_two_kinds_never_share_a_digest() -> None:
    assert digest("recipe", {}) != digest("result", {})


def test_a_known_digest_stays() -> None:
    # sha256 of b'khichdi/x/1\0{"a":[1,2.5,"\xc3\xa9"]}', worked out with sha256sum
    expected = (
        "sha256:"
        + __import__("hashlib").sha256(b'khichdi/x/1\x00{"a":[1,2.5,"\xc3\xa9"]}').hexdigest()
    )
    assert digest("x", {"a": [1, 2.5, "é"]}) == expected


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**53])
def test_what_json_cannot_hold_exactly_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"nan|inf|9007199254740992"):
        digest("x", value)


def table() -> pa.Table:
    turn = pa.struct([("role", pa.string()), ("text", pa.string())])
    return pa.table(
        {
            "id": pa.array(["a", "", "ccc", "é", "e", "f"]),
            "n": pa.array([1, None, 3, 4, 5, 6], pa.int32()),
            "x": pa.array([0.5, 1.5, 2.5, None, 4.5, 5.5]),
            "flag": pa.array([True, None, False, True, True, False]),
            "many": pa.array([["x"], [], ["y", "z"], None, [""], ["q"]], pa.list_(pa.string())),
            "turns": pa.array(
                [[], [{"role": "user", "text": "hi"}], [], [], None, []], pa.list_(turn)
            ),
        }
    )


@given(st.lists(st.integers(1, 4), min_size=1, max_size=6))
def test_a_table_digest_does_not_depend_on_batches(sizes: list[int]) -> None:
    whole = table()
    state = TableDigest(whole.schema)
    start = 0
    for size in [*sizes, whole.num_rows]:
        for batch in whole.slice(start, size).to_batches():
            state.update(batch)
        start += size
    assert state.hexdigest() == table_digest(whole)


@pytest.mark.parametrize("column", range(6))
@pytest.mark.parametrize("row", range(6))
def test_any_changed_cell_changes_the_table_digest(column: int, row: int) -> None:
    before = table()
    values = before.column(column).to_pylist()
    others = {"id": "zz", "n": 99, "x": 9.25, "many": ["zz"], "turns": [{"role": "", "text": "z"}]}
    name = before.column_names[column]
    values[row] = (not values[row]) if name == "flag" else others[name]
    after = before.set_column(column, name, pa.array(values, before.column(column).type))
    assert table_digest(after) != table_digest(before)


def test_values_do_not_slide_from_one_row_to_the_next() -> None:
    one = pa.table({"a": ["ab", "c"], "b": [["x"], ["y", "z"]]})
    other = pa.table({"a": ["a", "bc"], "b": [["x", "y"], ["z"]]})
    assert table_digest(one) != table_digest(other)


def test_row_order_column_names_and_types_are_bound() -> None:
    before = pa.table({"a": [1, 2]})
    assert table_digest(before) != table_digest(pa.table({"a": [2, 1]}))
    assert table_digest(before) != table_digest(pa.table({"b": [1, 2]}))
    assert table_digest(before) != table_digest(pa.table({"a": pa.array([1, 2], pa.int32())}))


def test_large_strings_and_parquet_give_the_same_digest(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    rows = pa.table({"a": ["x", None, "yy"]})
    large = rows.cast(pa.schema([("a", pa.large_string())]))
    pq.write_table(rows, tmp_path / "t.parquet")
    digests = {table_digest(t) for t in (rows, large, pq.read_table(tmp_path / "t.parquet"))}
    assert len(digests) == 1


def write_safetensors(path: Path, names: list[str], metadata: dict[str, str]) -> None:
    body, header = b"", {"__metadata__": metadata}
    for name in names:
        data = struct.pack("<2f", len(name), 2.0)
        offsets = [len(body), len(body) + len(data)]
        header[name] = {"dtype": "F32", "shape": [2], "data_offsets": offsets}  # type: ignore[assignment]
        body += data
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


def test_tensor_order_and_metadata_do_not_change_the_tensors_digest(tmp_path: Path) -> None:
    one, other = tmp_path / "one.safetensors", tmp_path / "other.safetensors"
    write_safetensors(one, ["a", "bb"], {"x": "1"})
    write_safetensors(other, ["bb", "a"], {"y": "2"})
    assert file_sha256(one) != file_sha256(other)
    assert safetensors_digest(one) == safetensors_digest(other)
    data = {name: ("F32", (2,), struct.pack("<2f", len(name), 2.0)) for name in ("a", "bb")}
    assert tensors_digest(data) == safetensors_digest(one)


@pytest.mark.parametrize(
    "spans",
    [[[0, 8], [0, 8]], [[0, 3], [4, 8]], [[0, 4]], []],
    ids=["the same bytes twice", "a hole", "bytes after the last", "no tensor"],
)
def test_each_byte_of_safetensors_belongs_to_one_tensor(
    tmp_path: Path, spans: list[list[int]]
) -> None:
    """A thousand names for the same gigabyte would take a terabyte of hashing."""
    entries = {
        f"t{n}": {"dtype": "U8", "shape": [8], "data_offsets": s} for n, s in enumerate(spans)
    }
    header = json.dumps(entries).encode()
    file = tmp_path / "a.safetensors"
    file.write_bytes(struct.pack("<Q", len(header)) + header + bytes(8))
    with pytest.raises(ValueError, match="its tensors overlap"):
        described_safetensors(file)


def test_the_real_safetensors_library_writes_what_we_read(tmp_path: Path) -> None:
    np = pytest.importorskip("numpy")
    save = pytest.importorskip("safetensors.numpy").save_file
    arrays = {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.ones(3, np.float16)}
    save(arrays, tmp_path / "t.safetensors", metadata={"format": "pt"})
    expected = tensors_digest(
        {
            "w": ("F32", (2, 3), arrays["w"].tobytes()),
            "b": ("F16", (3,), arrays["b"].tobytes()),
        }
    )
    assert safetensors_digest(tmp_path / "t.safetensors") == expected


def test_a_manifest_binds_names_sizes_and_bytes() -> None:
    one = manifest_digest({"a": (1, "sha256:00"), "b": (2, "sha256:11")})
    assert one == manifest_digest({"b": (2, "sha256:11"), "a": (1, "sha256:00")})
    assert one != manifest_digest({"a": (2, "sha256:11"), "b": (1, "sha256:00")})


def test_draws_depend_on_seed_and_id_alone() -> None:
    ids = [f"row {i}" for i in range(1000)]
    numbers = dict(zip(ids, draws(7, ids), strict=True))
    assert draws(7, reversed(ids)) == [numbers[i] for i in reversed(ids)]
    assert draws(8, ids) != list(numbers.values())
    assert len(set(numbers.values())) == 1000
    assert 0.4 < sum(n < 2**63 for n in numbers.values()) / 1000 < 0.6


def test_each_place_has_its_own_seed() -> None:
    seeds = {derive_seed(57, place) for place in ("train", "split", "data/a/sample")}
    assert len(seeds) == 3
    assert all(0 <= seed < 2**48 for seed in seeds)
