"""Hash files (sha256) in parallel, with read-ahead for large ones.

`hashlib` gives up Python's lock while it hashes, so threads are enough. Files are read, not mapped:
one that is cut short meanwhile gives another digest, where a mapped one would end the process.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

PIECE = 1 << 20
LARGE = 16 << 20
"""Files of this size are worth a thread that reads ahead while the other hashes."""

BUFFERS = 3


def file_sha256(path: Path) -> str:
    """Return `sha256:` of a file's bytes, as other tools compute it: no domain in front."""
    with path.open("rb", buffering=0) as file:
        if _cores() > 1 and os.fstat(file.fileno()).st_size >= LARGE:
            return _read_ahead(file.fileno())
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def files_sha256(paths: Iterable[Path]) -> list[str | OSError]:
    """Return the sha256 of each file, in order; for one that cannot be read, why.

    The largest go first, so that no thread is left alone with one at the end.
    """
    files = list(paths)
    sizes = [_size(path) for path in files]
    workers = min(_cores(), len(files))
    if workers < 2 or sum(sizes) < LARGE:
        return [_told(path, ahead=True) for path in files]
    order = sorted(range(len(files)), key=sizes.__getitem__, reverse=True)
    # As many large files as cores keep all of them busy; fewer leave some to read ahead.
    ahead = sum(size >= LARGE for size in sizes) < _cores()
    found: list[str | OSError] = [""] * len(files)
    with ThreadPoolExecutor(workers) as pool:
        told = pool.map(lambda index: _told(files[index], ahead), order)
        for index, sha in zip(order, told, strict=True):
            found[index] = sha
    return found


def _told(path: Path, ahead: bool) -> str | OSError:
    try:
        if ahead:
            return file_sha256(path)
        with path.open("rb", buffering=0) as file:
            return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        return error


def _read_ahead(handle: int) -> str:
    """Hash an open file while a thread of its own reads the next pieces."""
    free: SimpleQueue[bytearray | None] = SimpleQueue()
    full: SimpleQueue[memoryview | OSError] = SimpleQueue()
    for _ in range(BUFFERS):
        free.put(bytearray(PIECE))

    def read() -> None:
        try:
            while (buffer := free.get()) is not None:
                count = os.readv(handle, [buffer])
                full.put(memoryview(buffer)[:count])
                if not count:
                    return
        except OSError as error:
            full.put(error)

    reader = threading.Thread(target=read, name="read-ahead")
    reader.start()
    state = hashlib.sha256()
    try:
        while True:
            piece = full.get()
            if isinstance(piece, OSError):
                raise piece
            if not piece:
                return "sha256:" + state.hexdigest()
            state.update(piece)
            assert isinstance(piece.obj, bytearray)
            free.put(piece.obj)
    finally:
        free.put(None)
        reader.join()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
