"""The store: artifacts by content, results by key.

    artifacts/<manifest digest>/...   the files of an artifact, read-only
    steps/<key>.json                  what a step gave, written last
    work/<key>/                       what a killed step left to go on from (checkpoints)
    runs/<name>/                      one folder per run: record, plan, adapter
    tmp/                              private folders of running processes

An artifact is written in a private folder of the same file system, synced, hashed as written and
renamed into place without replacing anything; the step's result comes last. Killed at any instant,
the next run finds the whole artifact or none. Two runs on one store need no lock to be correct:
both write the same content under the same name, and the second to arrive throws its copy away.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ..schema.digest import file_sha256, manifest_digest
from ..schema.errors import InputError, StoreError
from ..schema.record import FileDigest, Output, StepResult

SMALL = 64 << 20
"""Files below this are hashed again whenever a step reads them; larger ones by `store verify`."""


class Store:
    """A store in a folder, made when first written to."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.runs = root / "runs"

    # ---- results ----------------------------------------------------------------------------

    def result(self, key: str) -> StepResult | None:
        """Return the result kept under a key, or None when there is none or it is not whole.

        Whole means: readable, and every file there with its size. Content is checked when it is
        read (`check`), and by `recipe store verify`.
        """
        path = self._result_path(key)
        try:
            result = StepResult.from_json(path.read_bytes(), str(path))
        except (FileNotFoundError, InputError):
            return None
        except OSError as error:
            raise store_error(error, f"cannot read {path}") from None
        if result.key != key or not all(self._complete(o) for o in result.outputs.values()):
            return None
        return result

    def keep(self, result: StepResult) -> None:
        """Write a step's result; its artifacts are in the store already."""
        write_atomically(self._result_path(result.key), result.to_text())

    def forget(self, key: str) -> None:
        """Remove a result, so that the step runs again."""
        self._result_path(key).unlink(missing_ok=True)

    def results(self) -> Iterator[tuple[str, StepResult | None]]:
        """Yield each kept key with its result, or None where the result is not whole."""
        for path in sorted((self.root / "steps").glob("*.json")):
            key = f"sha256:{path.stem}"
            yield key, self.result(key)

    # ---- artifacts --------------------------------------------------------------------------

    @contextlib.contextmanager
    def staging(self) -> Iterator[Path]:
        """Give a private folder on the store's file system, removed at the end."""
        folder: Path | None = None
        try:
            parent = self.root / "tmp"
            parent.mkdir(parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=parent))
            yield folder
        except OSError as error:
            raise store_error(error, "cannot write to the store") from error
        finally:
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)

    def publish(self, folder: Path, kind: str, digest: str | None = None) -> Output:
        """Move a staged folder into the store and return the output that names it.

        `digest` is the content's; without it the content is the files themselves, and their
        manifest is its digest.
        """
        files = {}
        for path in _files(folder):
            path.chmod(0o444)
            _sync(path)
            size, sha = path.stat().st_size, file_sha256(path)
            files[path.relative_to(folder).as_posix()] = FileDigest(size=size, sha256=sha)
        manifest = manifest_digest({name: (f.size, f.sha256) for name, f in files.items()})
        for directory in sorted({folder, *(p.parent for p in _files(folder))}, reverse=True):
            _sync(directory)
        output = Output.model_validate(
            {"kind": kind, "digest": digest or manifest, "manifest": manifest, "files": files}
        )
        target = self.folder(output)
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists() and not self._complete(output):
            shutil.rmtree(target)
        try:
            os.rename(folder, target)
        except OSError as error:
            # Somebody published the same content first: theirs is as good as ours.
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
        _sync(target.parent)
        return output

    def folder(self, output: Output) -> Path:
        """Return the folder that holds an output's files."""
        return self.root / "artifacts" / output.manifest.removeprefix("sha256:")

    def check(self, output: Output, *, every: bool = False) -> list[str]:
        """Return what is damaged: `<file>: <what>`; large files are hashed only if `every`."""
        damaged = []
        folder = self.folder(output)
        for name, expected in output.files.items():
            path = folder / name
            if not path.is_file():
                damaged.append(f"{path}: missing")
            elif path.stat().st_size != expected.size:
                damaged.append(f"{path}: {path.stat().st_size} bytes, expected {expected.size}")
            elif every or expected.size < SMALL:
                sha = file_sha256(path)
                if sha != expected.sha256:
                    damaged.append(f"{path}: {sha}, expected {expected.sha256}")
        return damaged

    def drop(self, output: Output) -> None:
        """Remove an artifact, so that the step that made it runs again."""
        shutil.rmtree(self.folder(output), ignore_errors=True)

    def artifacts(self) -> Iterator[Path]:
        """Yield the folder of every artifact."""
        folder = self.root / "artifacts"
        yield from sorted(folder.iterdir()) if folder.is_dir() else ()

    # ---- work -------------------------------------------------------------------------------

    @contextlib.contextmanager
    def work(self, key: str) -> Iterator[Path]:
        """Give the folder where a step may leave what it needs to go on after a kill.

        While another process has it, a private folder is given instead: the work is done twice,
        and both come to the same result.
        """
        folder = self.root / "work" / key.removeprefix("sha256:")
        folder.mkdir(parents=True, exist_ok=True)
        # The lock lies beside the folder, so that it is never removed under a waiting process.
        with folder.with_suffix(".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                with self.staging() as private:
                    yield private
                return
            yield folder
            shutil.rmtree(folder, ignore_errors=True)

    def _complete(self, output: Output) -> bool:
        folder = self.folder(output)
        for name, expected in output.files.items():
            try:
                if (folder / name).stat().st_size != expected.size:
                    return False
            except OSError:
                return False
        return True

    def _result_path(self, key: str) -> Path:
        return self.root / "steps" / f"{key.removeprefix('sha256:')}.json"


def write_atomically(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a file so that it is there whole, with this mode, or as it was before.

    Raises:
        StoreError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".", dir=path.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(name, mode)
            os.replace(name, path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        _sync(path.parent)
    except OSError as error:
        raise store_error(error, f"cannot write {path}") from None


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def store_error(error: OSError, what: str) -> StoreError:
    """Return the error for a failed system call, with what to do about the usual ones."""
    reason = os.strerror(error.errno) if error.errno else str(error)
    hint = None
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        hint = "free some space, or put the store elsewhere with --store DIR; nothing was lost"
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        hint = "choose a store that you may write to with --store DIR"
    return StoreError(f"{what}: {reason}", hint=hint)
