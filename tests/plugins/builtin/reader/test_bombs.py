"""Files of a few kilobytes that unpack to gigabytes are refused, in bounded memory."""

from __future__ import annotations

import bz2
import gzip
import lzma
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

GIBIBYTE = 1 << 30
ROOM = 400 << 20
"""Memory that reading may take beyond that of the loaded libraries; half of what it would need."""
READ = """
import resource, sys
from pathlib import Path
import pyarrow.parquet
from khichdi.plugins import SourceFile
from khichdi.plugins.registry import load_registry
from khichdi.schema.errors import StepError

reader = load_registry().create("reader", sys.argv[1], {"columns": {"output": "output"}})
pages = int(Path("/proc/self/statm").read_text().split()[0])
limit = pages * resource.getpagesize() + int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
try:
    for _ in reader.read([SourceFile("bomb", Path(sys.argv[2]))]):
        pass
except StepError as error:
    sys.exit(error.message)
sys.exit("it was read")
"""
needs_proc = pytest.mark.skipif(
    not Path("/proc/self/statm").is_file(), reason="needs Linux's /proc"
)


def read_in_little_memory(reader: str, file: Path) -> str:
    """Read a file in a process whose memory is limited, and return what the reader said."""
    words = [sys.executable, "-c", READ, reader, str(file), str(ROOM)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.stderr.strip()


def zstd(file: Path) -> None:
    with pa.output_stream(str(file), compression="zstd") as out:
        for _ in range(GIBIBYTE >> 20):
            out.write(b" " * (1 << 20))


def packed_by(opened: Callable[..., object]) -> Callable[[Path], None]:
    def write(file: Path) -> None:
        with opened(file, "wb") as out:  # type: ignore[attr-defined]
            for _ in range(GIBIBYTE >> 20):
                out.write(b" " * (1 << 20))

    return write


BOMBS = {
    "gz": packed_by(gzip.open),
    "bz2": packed_by(bz2.open),
    "xz": packed_by(partial(lzma.open, preset=0)),
    "zst": zstd,
}


@needs_proc
@pytest.mark.parametrize("how", BOMBS)
@pytest.mark.parametrize("reader", ["jsonl", "json", "csv"])
def test_a_line_of_a_gibibyte_in_a_small_file(bombs: Path, reader: str, how: str) -> None:
    file = bombs / f"a.{how}"
    found = read_in_little_memory(reader, file)
    assert found.startswith(f"its {file.stat().st_size:,} bytes unpack to more than "), found


@pytest.fixture(scope="module")
def bombs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a gibibyte of spaces in every compression."""
    folder = tmp_path_factory.mktemp("bombs")
    for how, write in BOMBS.items():
        write(folder / f"a.{how}")
    return folder


@needs_proc
@pytest.mark.parametrize("dictionary", [False, True], ids=["compressed", "one value repeated"])
def test_a_parquet_file_whose_rows_take_gigabytes(tmp_path: Path, dictionary: bool) -> None:
    file, values = tmp_path / "a.parquet", pa.array(["word " * 4_000] * 54_000)
    pq.write_table(
        pa.table({"output": values}), file, use_dictionary=dictionary, compression="zstd",
        row_group_size=54_000,
    )  # fmt: skip
    assert file.stat().st_size < 1 << 20
    found = read_in_little_memory("parquet", file)
    assert found.startswith(f"its {file.stat().st_size:,} bytes unpack to more than "), found


def test_repeated_lines_are_a_table_like_any_other(
    read: Callable[..., list[dict[str, str]]], tmp_path: Path
) -> None:
    line = b'{"output": "the same answer, over and over again"}\n'
    file = tmp_path / "a.jsonl.gz"
    file.write_bytes(gzip.compress(line * 100_000))
    assert len(read("jsonl", {}, file)) == 100_000
