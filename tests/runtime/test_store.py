"""The store: whole or not at all, whoever writes and whenever it is killed."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from khichdi.runtime.store.store import Store, write_atomically
from khichdi.schema.digest import digest
from khichdi.schema.errors import StoreError
from khichdi.schema.record import Output, StepResult

KEY = digest("test", "key")


def publish(store: Store, text: str = "hello") -> Output:
    with store.staging() as staging:
        folder = staging / "out"
        (folder / "sub").mkdir(parents=True)
        (folder / "a.txt").write_text(text)
        (folder / "sub" / "b.txt").write_text(text * 2)
        return store.publish(folder, "files")


def keep(store: Store, output: Output) -> None:
    store.keep(StepResult(key=KEY, outputs={"files": output}))


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    output = publish(store)
    keep(store, output)
    result = Store(tmp_path / "store").result(KEY)
    assert result is not None
    assert result.outputs["files"] == output
    assert (store.folder(output) / "sub" / "b.txt").read_text() == "hellohello"
    assert store.check(output, every=True) == []


def test_the_same_content_is_kept_once(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    assert publish(store) == publish(store)
    assert len(list(store.artifacts())) == 1
    assert list((store.root / "tmp").iterdir()) == []


def test_whole_content_is_not_replaced_under_whoever_uses_it(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    path = store.folder(publish(store)) / "a.txt"
    before = path.stat()
    publish(store)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_artifacts_are_read_only(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    output = publish(store)
    assert (store.folder(output) / "a.txt").stat().st_mode & 0o222 == 0


def test_a_flipped_byte_is_found_and_named(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    output = publish(store)
    path = store.folder(output) / "a.txt"
    path.chmod(0o644)
    path.write_text("jello")
    (damage,) = store.check(output)
    assert str(path) in damage
    assert output.files["a.txt"].sha256 in damage


def test_a_missing_file_makes_the_step_run_again(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    output = publish(store)
    keep(store, output)
    (store.folder(output) / "a.txt").unlink()
    assert store.result(KEY) is None
    assert publish(store) == output
    assert store.result(KEY) is not None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"key": 1}', "\x00"])
def test_a_torn_result_counts_as_none(tmp_path: Path, text: str) -> None:
    store = Store(tmp_path / "store")
    keep(store, publish(store))
    (store.root / "steps" / f"{KEY[7:]}.json").write_text(text)
    assert store.result(KEY) is None


RACE = """
import sys
from pathlib import Path
from khichdi.runtime.store.store import Store
from khichdi.schema.record import StepResult
store = Store(Path(sys.argv[1]))
for index in range(40):
    with store.staging() as staging:
        folder = staging / "out"
        folder.mkdir()
        (folder / "a.txt").write_text(f"content {index % 5}")
        output = store.publish(folder, "files")
    store.keep(StepResult(key=sys.argv[2], outputs={"files": output}))
"""


def test_writers_that_race_leave_whole_artifacts(tmp_path: Path) -> None:
    root = tmp_path / "store"
    command = [sys.executable, "-c", RACE, str(root), KEY]
    workers = [subprocess.Popen(command) for _ in range(4)]
    assert [worker.wait() for worker in workers] == [0, 0, 0, 0]
    store = Store(root)
    assert len(list(store.artifacts())) == 5
    result = store.result(KEY)
    assert result is not None
    assert store.check(result.outputs["files"], every=True) == []


KILL = """
import sys
from pathlib import Path
from khichdi.runtime.store.store import Store
from khichdi.schema.digest import digest
from khichdi.schema.record import StepResult
store = Store(Path(sys.argv[1]))
for index in range(100000):
    with store.staging() as staging:
        folder = staging / "out"
        folder.mkdir()
        (folder / "a.txt").write_text(str(index) * 1000)
        output = store.publish(folder, "files")
    store.keep(StepResult(key=digest("test", index), outputs={"files": output}))
    if index == 0:
        print("ready", flush=True)
"""


def test_killed_at_any_time_nothing_torn_is_visible(tmp_path: Path) -> None:
    root = tmp_path / "store"
    for delay in (0.0, 0.01, 0.02, 0.03, 0.05, 0.07):
        process = subprocess.Popen(
            [sys.executable, "-c", KILL, str(root)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
    store = Store(root)
    kept = list(store.results())
    assert kept
    for _, result in kept:
        assert result is not None
        assert store.check(result.outputs["files"], every=True) == []


FULL = """
import resource, signal, sys
from pathlib import Path
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from khichdi.runtime.store.store import Store
from khichdi.schema.errors import StoreError
store = Store(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    with store.staging() as staging:
        (staging / "big").write_bytes(b"x" * 5000)
except StoreError as error:
    print(error)
"""


def test_a_full_disk_is_a_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path / "store")], capture_output=True, text=True
    )
    assert "File too large" in done.stdout
    assert "--store DIR" in done.stdout
    assert list((tmp_path / "store" / "tmp").iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_store_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match="Permission denied"):
        publish(Store(tmp_path / "store"))


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "f.json"
    write_atomically(path, "old")
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limit[1]))
    try:
        with pytest.raises(StoreError, match="File too large"):
            write_atomically(path, "new" * 100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, previous)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["f.json"]


def test_work_survives_a_failure_and_goes_after_success(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")

    def fail_half_way() -> None:
        with store.work(KEY) as work:
            (work / "checkpoint").write_text("1")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    with store.work(KEY) as work:
        assert (work / "checkpoint").read_text() == "1"
    with store.work(KEY) as work:
        assert not (work / "checkpoint").exists()


def test_work_that_another_process_has_is_not_shared(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    with store.work(KEY) as mine, Store(tmp_path / "store").work(KEY) as theirs:
        assert mine != theirs
