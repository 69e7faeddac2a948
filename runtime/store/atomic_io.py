"""Atomic, durable writes (crash- and power-loss-safe).

A file system may keep what was not synced in any order, or not at all. So a file is synced before
it gets its name, the folder of that name after, and a new folder's own name before anything in it
is relied on.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...schema.errors import StoreError

AT_FDCWD = -100
EXCHANGE = 2
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
LEFT = 64 << 10
"""Bytes below which a disk is full: a file of that size could not be written."""
NO_EXCHANGE = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP)


def make_folder(path: Path) -> None:
    """Make a folder and those above it, so that their names survive a power loss."""
    if path.is_dir():
        return
    make_folder(path.parent)
    try:
        path.mkdir()
    except FileExistsError:
        if not path.is_dir():
            raise
    sync(path.parent)


def sync(path: Path) -> None:
    """Sync a file's bytes, or a folder's names, to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_tree(folder: Path) -> None:
    """Sync a folder and everything below it, innermost first."""
    for place, _, names in os.walk(folder, topdown=False):
        for name in names:
            sync(Path(place) / name)
        sync(Path(place))


def write_atomically(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a text so that the file is there whole, with this mode, or as it was before.

    Raises:
        StoreError: it cannot be written.
    """
    with atomic_file(path, mode) as place:
        place.write_text(text, encoding="utf-8")


@contextmanager
def atomic_file(path: Path, mode: int = 0o644) -> Iterator[Path]:
    """Give a temporary path to write a file at; the file then takes its name, or is removed.

    An existing path that is not a plain file (a terminal, a pipe, /dev/null) is given as it is, and
    never replaced.

    Raises:
        StoreError: it cannot be written.
    """
    try:
        if path.exists() and not path.is_file():
            yield path
            return
        make_folder(path.parent)
        # Without the suffix: whoever lists files of a kind must not find one that is being written.
        handle, name = tempfile.mkstemp(prefix=".", dir=path.parent)
        os.close(handle)
        try:
            yield Path(name)
            os.chmod(name, mode)
            sync(Path(name))
            os.replace(name, path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        sync(path.parent)
    except OSError as error:
        raise store_error(error, f"cannot write {path}") from None


def rename_new(new: Path, name: Path) -> bool:
    """Rename a folder; return False where the name is taken, and change nothing then.

    Raises:
        OSError: it cannot be done.
    """
    try:
        os.rename(new, name)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
            return False
        raise
    return True


def swap_folders(one: Path, other: Path) -> None:
    """Atomically swap two folders: both names exist at every instant.

    Where the system cannot exchange two folders at once, the other one is moved aside first.

    Raises:
        OSError: it cannot be done; both are as they were.
    """
    if not _exchange(one, other):
        aside = Path(tempfile.mkdtemp(prefix="aside-", dir=one.parent))
        os.rename(other, aside / "old")
        os.rename(one, other)
        os.rename(aside / "old", one)
        aside.rmdir()


def _exchange(one: Path, other: Path) -> bool:
    """Swap two paths in one system call; return False where there is none."""
    import ctypes

    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is None:
        return False
    if call(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in NO_EXCHANGE:
        return False
    raise OSError(number, os.strerror(number), str(other))


def discard(path: Path, scratch: Path) -> None:
    """Rename a folder away, then remove its contents; `scratch` is on its file system.

    Raises:
        StoreError: it cannot be taken away, and is as it was.
    """
    try:
        make_folder(scratch)
        grave = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=scratch))
        try:
            os.rename(path, grave / "gone")
            sync(path.parent)
        except FileNotFoundError:
            pass  # somebody else took it
        finally:
            shutil.rmtree(grave, ignore_errors=True)
    except OSError as error:
        raise store_error(error, f"cannot remove {path}") from None


def from_full_disk(error: BaseException, folder: Path) -> bool:
    """Return whether an error comes of a full disk; libraries report one in words of their own.

    torch does not even name the reason, so the disk of the folder is asked too.
    """
    seen: BaseException | None = error
    while seen is not None:
        if getattr(seen, "errno", None) in FULL or any(os.strerror(n) in str(seen) for n in FULL):
            return True
        seen = seen.__cause__ or seen.__context__
    try:
        return shutil.disk_usage(folder).free < LEFT
    except OSError:
        return False


def store_error(error: OSError, what: str) -> StoreError:
    """Return the error for a failed system call, with what to do about the usual ones."""
    reason = os.strerror(error.errno) if error.errno else str(error)
    hint = None
    if error.errno in FULL:
        hint = "free some space, or put the store elsewhere with --store DIR; nothing was lost"
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        hint = "choose a store that you may write to with --store DIR"
    return StoreError(f"{what}: {reason}", hint=hint)
