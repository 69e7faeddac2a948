"""Files hashed over threads and read ahead have the digests that hashlib gives them."""

from __future__ import annotations

import hashlib
import os
import random
from pathlib import Path

import pytest

from khichdi.schema import file_hashing as hashing
from khichdi.schema.file_hashing import LARGE, PIECE, file_sha256, files_sha256

SIZES = (0, 1, PIECE - 1, PIECE, PIECE + 1, LARGE - 1, LARGE, LARGE + 1, LARGE + 3 * PIECE)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, str]:
    folder = tmp_path_factory.mktemp("files")
    data = random.Random(1).randbytes(PIECE) * (max(SIZES) // PIECE + 1)
    found = {}
    for size in SIZES:
        path = folder / str(size)
        path.write_bytes(data[-size:] if size else b"")
        found[path] = "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
    return found


@pytest.mark.parametrize("cores", [1, 2, 16])
def test_digests_are_those_of_hashlib(
    files: dict[Path, str], cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashing, "_cores", lambda: cores)
    assert files_sha256(files) == list(files.values())
    assert {path: file_sha256(path) for path in files} == files


def test_what_cannot_be_read_is_told_in_its_place(files: dict[Path, str], tmp_path: Path) -> None:
    (first, sha), *_, (last, last_sha) = files.items()
    found = files_sha256([first, tmp_path / "none", tmp_path, last])
    assert (found[0], found[3]) == (sha, last_sha)
    assert isinstance(found[1], FileNotFoundError)
    assert isinstance(found[2], IsADirectoryError)


def test_a_fault_of_the_disk_half_way_is_raised_and_leaves_no_thread(
    files: dict[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, reads = os.readv, iter(range(100))

    def readv(handle: int, buffers: list[bytearray]) -> int:
        if next(reads) == 3:
            raise OSError(5, "Input/output error")
        return real(handle, buffers)

    monkeypatch.setattr(hashing, "_cores", lambda: 2)
    monkeypatch.setattr(os, "readv", readv)
    with pytest.raises(OSError, match="Input/output error"):
        file_sha256(list(files)[-1])
    assert not [t for t in hashing.threading.enumerate() if t.name == "read-ahead"]
