"""A distribution is known by the files that are installed of it."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import pytest
from third_party import forget, install

from khichdi.plugins.distributions import identify
from khichdi.runtime.sources.pin import other_plugins
from khichdi.schema.digest import file_sha256, manifest_digest
from khichdi.schema.lock import Distribution, Lock

KNOWN = Distribution(name="acme", version="1.2")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    yield folder
    forget("acme")
    importlib.invalidate_caches()


def points() -> list[EntryPoint]:
    return [point for point in entry_points(group="khichdi") if point.name == "acme"]


def editable(site: Path) -> None:
    where = {"url": "file:///acme", "dir_info": {"editable": True}}
    (site / "acme-1.2.dist-info" / "direct_url.json").write_text(json.dumps(where))


def test_the_digest_is_of_the_files_that_were_installed(site: Path) -> None:
    file = install(site, "acme", "X = 1\n")
    found = identify(KNOWN, points())
    expected = manifest_digest({"acme.py": (file.stat().st_size, file_sha256(file))})
    assert found == Distribution(name="acme", version="1.2", files=expected, editable=False)
    file.write_text("X = 2\n")
    assert identify(KNOWN, points()).files != expected


def test_an_editable_install_is_marked_and_has_the_digest_of_the_same_files(site: Path) -> None:
    install(site, "acme", "X = 1\n")
    installed = identify(KNOWN, points())
    editable(site)
    # Of an editable install RECORD has only what points to the source.
    (site / "acme-1.2.dist-info" / "RECORD").write_text("__editable__.acme-1.2.pth,,\n")
    found = identify(KNOWN, points())
    assert found.editable
    assert found.files == installed.files


def test_metadata_of_a_build_in_the_projects_folder_says_nothing_of_files(site: Path) -> None:
    install(site, "acme", "X = 1\n")
    installed = identify(KNOWN, points())
    built = (site / "acme-1.2.dist-info").rename(site / "acme.egg-info")
    (built / "METADATA").rename(built / "PKG-INFO")
    (built / "RECORD").unlink()
    (built / "SOURCES.txt").write_text("README.md\nacme.py\ntests/test_acme.py\n")
    importlib.invalidate_caches()
    assert identify(KNOWN, points()).files == installed.files


def test_a_package_is_known_by_all_its_files_but_python_s_own(site: Path) -> None:
    module = install(site, "acme", "")
    package = site / "acme"
    (package / "inner").mkdir(parents=True)
    (package / "__init__.py").write_text("X = 1\n")
    (package / "inner" / "words.txt").write_text("a\n")
    module.unlink()
    editable(site)
    first = identify(KNOWN, points())
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "acme.pyc").write_bytes(b"1")
    assert identify(KNOWN, points()) == first
    (package / "inner" / "words.txt").write_text("b\n")
    assert identify(KNOWN, points()) != first


def test_a_distribution_locked_without_its_files_is_known_by_its_version() -> None:
    locked = Distribution(name="acme", version="1.1")
    lock = Lock(recipe="r", language=1, materials={}, plugins=(locked,))
    now = Distribution(name="acme", version="1.1", files="sha256:" + "0" * 64)
    assert other_plugins(lock, [now]) == []
    later = now.model_copy(update={"version": "1.2"})
    assert other_plugins(lock, [later]) == ["acme 1.2 is installed, locked with 1.1"]


def test_the_same_version_with_other_files_is_told() -> None:
    one, other = ("sha256:" + digit * 64 for digit in "01")
    locked = Distribution(name="acme", version="1.2", files=one)
    lock = Lock(recipe="r", language=1, materials={}, plugins=(locked,))
    stranger = Distribution(name="other", version="1.0", files=other)
    assert other_plugins(lock, [locked, stranger]) == []
    (words,) = other_plugins(lock, [locked.model_copy(update={"files": other})])
    assert words.startswith("acme 1.2 has other files")
