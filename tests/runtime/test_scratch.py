"""Folders for what is only needed meanwhile are removed; if not, the work that is done stands."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from khichdi.runtime.tempdirs import scratch_folder


def test_it_is_removed_with_all_in_it(tmp_path: Path) -> None:
    with scratch_folder("test", str(tmp_path)) as folder:
        assert Path(folder).parent == tmp_path
        (Path(folder) / "a").mkdir()
        (Path(folder) / "a" / "file").write_text("x")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fails_at_the_end_fails_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*given: Any, **named: Any) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with scratch_folder("test", str(tmp_path)) as folder:
        (Path(folder) / "file").write_text("x")
        monkeypatch.setattr(os, "unlink", fail)
        monkeypatch.setattr(os, "rmdir", fail)
    monkeypatch.undo()
    assert (Path(folder) / "file").is_file()
