"""The store: artifacts by content, results by key.

    artifacts/<manifest digest>/...   the files of an artifact, read-only
    steps/<key>.json                  what a step gave, written last
    work/<key>/                       checkpoints that a killed step resumes from
    runs/<name>/                      one folder per run: record, plan, adapter
    tmp/                              private folders of running processes

An artifact is written in a private folder of the same file system, synced, hashed as written and
renamed into place without replacing anything; the step's result comes last. Killed at any instant,
the next run finds the whole artifact or none. Two runs on one store need no lock to be correct:
both write the same content under the same name, and the second to arrive throws its copy away.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from ...schema.digest import manifest_digest
from ...schema.errors import InputError, StoreError
from ...schema.file_hashing import files_sha256
from ...schema.record import FileDigest, Output, StepResult
from .atomic_io import discard, make_folder, rename_new, swap_folders, sync, sync_tree
from .atomic_io import store_error as store_error
from .atomic_io import write_atomically as write_atomically

SMALL = 64 << 20
"""Files below this are hashed again whenever a step reads them; larger ones by `store verify`."""


class Store:
    """A store in a folder, made when first written to."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.runs = root / "runs"
        self.scratch = root / "tmp"

    # ---- locks ------------------------------------------------------------------------------

    @contextlib.contextmanager
    def shared(self) -> Iterator[None]:
        """Hold a shared lock, so that gc cannot delete unreferenced artifacts of a live run.

        Runs never wait for each other; a run waits for garbage collection to end.
        """
        with self._lock(fcntl.LOCK_SH):
            yield

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold an exclusive lock, so that no run starts while something is removed.

        Raises:
            StoreError: a run works here.
        """
        try:
            with self._lock(fcntl.LOCK_EX | fcntl.LOCK_NB):
                yield
        except BlockingIOError:
            raise StoreError(
                f"a run is at work in {self.root}",
                hint="clean up when it has ended; `status` and `verify` go at any time",
            ) from None

    @contextlib.contextmanager
    def _lock(self, how: int) -> Iterator[None]:
        try:
            make_folder(self.root)
            lock = (self.root / "lock").open("a")
        except OSError as error:
            if how == fcntl.LOCK_SH:  # all may be there already, in a store that is read only
                yield
                return
            raise store_error(error, f"cannot write to the store {self.root}") from None
        with lock:
            try:
                fcntl.flock(lock, how)
            except BlockingIOError:
                raise
            except OSError:
                pass  # a file system without locks: users must not collect garbage during a run
            yield

    # ---- results ----------------------------------------------------------------------------

    def result(self, key: str) -> StepResult | None:
        """Return the result kept under a key, or None when there is none or it is not whole.

        Whole means: readable, and every file there with its size. Content is checked when it is
        read (`check`), and by `recipe store verify`.
        """
        result = self.recorded(key)
        whole = result is not None and all(self._complete(o) for o in result.outputs.values())
        return result if whole else None

    def recorded(self, key: str) -> StepResult | None:
        """Return a step's recorded result, whether or not its files are there."""
        path = self.result_path(key)
        try:
            result = StepResult.from_json(path.read_bytes(), str(path))
        except (FileNotFoundError, InputError):
            return None
        except OSError as error:
            raise store_error(error, f"cannot read {path}") from None
        return result if result.key == key else None

    def keep(self, result: StepResult) -> None:
        """Write a step's result; its artifacts are in the store already."""
        write_atomically(self.result_path(result.key), result.to_text())

    def mark_used(self, key: str) -> None:
        """Mark a result as just used: gc deletes the least recently used first."""
        with contextlib.suppress(OSError):
            os.utime(self.result_path(key))

    def last_used(self, key: str) -> float:
        """Return when a result was made or last used, in seconds since 1970."""
        return self.result_path(key).stat().st_mtime

    def forget(self, key: str) -> None:
        """Remove a result, so that the step runs again."""
        path = self.result_path(key)
        try:
            path.unlink(missing_ok=True)
            if path.parent.is_dir():
                sync(path.parent)
        except OSError as error:
            raise store_error(error, f"cannot remove {path}") from None

    def result_keys(self) -> list[str]:
        """Return the key of every result, whole or not."""
        return [f"sha256:{path.stem}" for path in sorted((self.root / "steps").glob("*.json"))]

    def results(self) -> Iterator[tuple[str, StepResult | None]]:
        """Yield each kept key with its result, or None where the result is not whole."""
        return ((key, self.result(key)) for key in self.result_keys())

    # ---- artifacts --------------------------------------------------------------------------

    @contextlib.contextmanager
    def staging(self) -> Iterator[Path]:
        """Give a private folder on the store's file system, removed at the end."""
        folder: Path | None = None
        try:
            make_folder(self.scratch)
            folder = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=self.scratch))
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
        paths = _files(folder)
        for path in paths:
            path.chmod(0o444)
        sync_tree(folder)
        files = {}
        for path, sha in zip(paths, files_sha256(paths), strict=True):
            if isinstance(sha, OSError):
                raise sha
            name = path.relative_to(folder).as_posix()
            files[name] = FileDigest(size=path.stat().st_size, sha256=sha)
        manifest = manifest_digest({name: (f.size, f.sha256) for name, f in files.items()})
        output = Output.model_validate(
            {"kind": kind, "digest": digest or manifest, "manifest": manifest, "files": files}
        )
        target = self.own_folder(output)
        make_folder(target.parent)
        # Somebody published the same content first: whole, theirs is as good as ours, and may be
        # in use.
        if not rename_new(folder, target) and self.check(output, every=True):
            swap_folders(folder, target)
        sync(target.parent)
        return output

    def folder(self, output: Output) -> Path:
        """Return the folder that holds an output's files."""
        return self.own_folder(output)

    def own_folder(self, output: Output) -> Path:
        """Return the folder of this store that holds an output's files, or would."""
        return self.root / "artifacts" / output.manifest.removeprefix("sha256:")

    def check(self, output: Output, *, every: bool = False) -> list[str]:
        """Return the damage, `<file>: <damage>`; large files are hashed only if `every`."""
        return self.check_all([output], every=every)[output.manifest]

    def check_all(self, outputs: Iterable[Output], *, every: bool = False) -> dict[str, list[str]]:
        """Return the damage of each artifact, by its manifest; all files are hashed at once.

        An artifact that several outputs name is looked at once.
        """
        damaged: dict[str, list[str]] = {}
        to_hash: list[tuple[str, Path, str]] = []
        for manifest, output in {output.manifest: output for output in outputs}.items():
            damaged[manifest] = []
            for name, expected in output.files.items():
                path = self.folder(output) / name
                size = path.stat().st_size if path.is_file() else None
                if size is None:
                    damaged[manifest].append(f"{path}: missing")
                elif size != expected.size:
                    damaged[manifest].append(f"{path}: {size} bytes, expected {expected.size}")
                elif every or expected.size < SMALL:
                    to_hash.append((manifest, path, expected.sha256))
        found = files_sha256(path for _, path, _ in to_hash)
        for (manifest, path, expected_sha), sha in zip(to_hash, found, strict=True):
            if isinstance(sha, OSError):
                damaged[manifest].append(f"{path}: cannot be read: {sha.strerror or sha}")
            elif sha != expected_sha:
                damaged[manifest].append(f"{path}: {sha}, expected {expected_sha}")
        return damaged

    def drop(self, output: Output) -> bool:
        """Remove an artifact and every result that names it: the steps that gave it run again.

        Return whether it was here to remove.
        """
        # Results first: if this is interrupted, no result refers to a missing artifact.
        for key in self.result_keys():
            result = self.recorded(key)
            if result is not None and output.manifest in result.manifests():
                self.forget(key)
        folder = self.own_folder(output)
        found = folder.exists()
        discard(folder, self.scratch)
        return found

    def artifacts(self) -> Iterator[Path]:
        """Yield the folder of every artifact."""
        folder = self.root / "artifacts"
        yield from sorted(folder.iterdir()) if folder.is_dir() else ()

    # ---- work -------------------------------------------------------------------------------

    @contextlib.contextmanager
    def work(self, key: str) -> Iterator[Path]:
        """Return the folder for checkpoints that a step resumes from after a kill.

        While another process has it, a private folder is given instead: the work is done twice,
        and both come to the same result.
        """
        folder = self.root / "work" / key.removeprefix("sha256:")
        try:
            make_folder(folder)
            lock = folder.with_suffix(".lock").open("w")
        except OSError as error:
            raise store_error(error, "cannot write to the store") from None
        # The lock lies beside the folder, so that it is never removed under a waiting process.
        with lock:
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

    def result_path(self, key: str) -> Path:
        """Return the file that holds a result."""
        return self.root / "steps" / f"{key.removeprefix('sha256:')}.json"


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
