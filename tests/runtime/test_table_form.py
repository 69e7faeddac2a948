"""A table takes no more memory than its file; whatever would is refused before it is unfolded."""

from __future__ import annotations

import contextlib
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from khichdi.runtime.tables import BATCH, FILE, read_table, write_table
from khichdi.schema.errors import StoreError
from khichdi.schema.rows import row_schema

ROW = {field.name: [] if pa.types.is_list(field.type) else "word" for field in row_schema()}
TURN = {"role": "user", "text": "hello", "extra": ""}


def written(folder: Path, table: pa.Table, **options: Any) -> Path:
    with pa.ipc.new_file(folder / FILE, table.schema, **options) as writer:
        writer.write_table(table)
    return folder


def rows(count: int) -> pa.Table:
    return pa.Table.from_pylist([{**ROW, "turns": [TURN] * 2}] * count, row_schema())


@pytest.mark.parametrize("count", [0, 1, 10_000])
def test_tables_that_are_written_here_are_read(tmp_path: Path, count: int) -> None:
    write_table(tmp_path, rows(count))
    assert read_table(tmp_path).equals(rows(count))


@pytest.mark.parametrize("codec", ["zstd", "lz4"])
def test_a_compressed_table_is_refused(tmp_path: Path, codec: str) -> None:
    options = pa.ipc.IpcWriteOptions(compression=codec)
    with pytest.raises(StoreError, match="compressed"):
        read_table(written(tmp_path, rows(3), options=options))


ONE = pa.array(["x" * 1000])
UNFOLDING: dict[str, tuple[pa.Array, str]] = {
    "a dictionary": (pa.DictionaryArray.from_arrays([0] * 100, ONE), "dictionary"),
    "nothing, a billion times": (pa.nulls(10**9), "the type null"),
    "one run, a billion long": (
        pa.RunEndEncodedArray.from_arrays([2**31 - 1], pa.array(["x"])), "run_end_encoded",
    ),
    "views of one text": (pa.array(["x" * 100] * 9).cast(pa.string_view()), "the type string_view"),
    "structs without fields": (pa.StructArray.from_arrays([], names=[]), "the type struct"),
}  # fmt: skip


@pytest.mark.parametrize("form", UNFOLDING)
def test_a_form_that_unfolds_to_more_than_its_file_is_refused(tmp_path: Path, form: str) -> None:
    column, words = UNFOLDING[form]
    with pytest.raises(StoreError, match=words):
        read_table(written(tmp_path, pa.table({"a": column})))


def test_a_batch_that_the_footer_lists_twice_is_refused(tmp_path: Path) -> None:
    write_table(tmp_path, rows(2 * BATCH))
    raw = (tmp_path / FILE).read_bytes()
    size = int.from_bytes(raw[-10:-6], "little")
    footer = raw[-10 - size :]
    starts = [at.start() for at in re.finditer(rb"\xff\xff\xff\xff.{2}\0\0", raw, re.DOTALL)][1:3]
    first, second = (footer.index(start.to_bytes(8, "little")) for start in starts)
    twice = footer[:second] + footer[first : first + 24] + footer[second + 24 :]
    (tmp_path / FILE).write_bytes(raw[: -10 - size] + twice)
    assert pa.ipc.open_file(tmp_path / FILE).num_record_batches == 2
    with pytest.raises(StoreError, match="overlap"):
        read_table(tmp_path)


def test_no_damage_of_a_file_is_more_than_an_error(tmp_path: Path) -> None:
    write_table(tmp_path, rows(3))
    raw, draw = (tmp_path / FILE).read_bytes(), random.Random(7)
    for _ in range(300):
        damaged = bytearray(raw)
        for _ in range(draw.randint(1, 4)):
            damaged[draw.randrange(len(raw) - 900, len(raw))] = draw.randrange(256)
        (tmp_path / FILE).unlink()
        (tmp_path / FILE).write_bytes(damaged[: draw.choice((None, draw.randrange(len(raw))))])
        with contextlib.suppress(StoreError, pa.ArrowException, OSError):
            read_table(tmp_path).validate(full=True)


READ = """
import resource, sys
from pathlib import Path
import pyarrow.compute
from khichdi.runtime.tables import read_table
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    read_table(Path(sys.argv[1]))
except Exception as error:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, error)
"""


def test_a_gibibyte_of_zeros_in_a_small_file_takes_no_memory(tmp_path: Path) -> None:
    bomb(tmp_path)
    assert (tmp_path / FILE).stat().st_size < 1 << 20
    command = [sys.executable, "-c", READ, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    kibibytes, _, words = done.stdout.partition(" ")
    assert "compressed" in words
    assert int(kibibytes) < 20_000


def bomb(folder: Path) -> None:
    """Write 1 GiB of zeros, compressed to some 40 KB."""
    values = pa.array([b"\0" * (1 << 30)], pa.binary()).view(pa.string())
    written(folder, pa.table({"a": values}), options=pa.ipc.IpcWriteOptions(compression="zstd"))
