from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import zipfile

import pytest
from pydantic import ValidationError

from khichdi.schema.errors import FetchError

pytestmark = pytest.mark.heavy  # pip downloads

TASKS = {"acme_data/train.jsonl": b'{"q": 1}\n' * 9000, "acme_data/deep/test.jsonl": b"{}\n"}


def build(folder, version="1.0", tag="py3-none-any", **more):
    """Write a wheel as pip wants it, by hand."""
    folder.mkdir(exist_ok=True)
    wheel = folder / f"acme_data-{version}-{tag}.whl"
    info = f"acme_data-{version}.dist-info"
    files = {
        "acme_data/__init__.py": b"",
        **TASKS,
        **more,
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: acme-data\nVersion: " + version.encode(),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n".encode(),
    }
    files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in files).encode()
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return wheel


@pytest.fixture
def index(tmp_path, monkeypatch):
    """Return a folder that pip, set up by its own variables, takes packages from."""
    folder = tmp_path / "index"
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    return folder


def acme(make, **params):
    defaults = {"package": "acme-data", "version": "1.0", "include": ["acme_data/**/*.jsonl"]}
    return make("pypi", **{**defaults, **params})


def test_members_are_pinned_with_the_wheel_they_are_in(make, index, fetch, matches):
    wheel = build(index)
    source = acme(make)

    pin = source.pin(None)

    sha256 = hashlib.sha256(wheel.read_bytes()).hexdigest()
    assert {file.path: file.size for file in pin.files} == {p: len(d) for p, d in TASKS.items()}
    assert {file.url for file in pin.files} == {f"{wheel.name}#sha256={sha256}"}
    assert fetch(source, pin) == dict(sorted(TASKS.items()))
    assert matches(pin)


def test_another_wheel_of_the_same_version_is_refused_before_it_is_read(make, index, fetch):
    build(index)
    source = acme(make)
    pin = source.pin(None)
    build(index, **{"acme_data/more.txt": b"x"})

    with pytest.raises(FetchError, match=r"has sha256 [0-9a-f]{64}, pinned is [0-9a-f]{64}"):
        fetch(source, pin)


def test_a_member_that_unpacks_to_more_than_is_pinned_is_not_unpacked(make, index, fetch):
    build(index)
    source = acme(make)
    pin = source.pin(None)
    smaller = tuple(file.model_copy(update={"size": 4}) for file in pin.files)
    with pytest.raises(FetchError, match="pinned are 4"):
        fetch(source, dataclasses.replace(pin, files=smaller))


def test_a_wheel_for_another_kind_of_machine_is_still_brought(make, index, fetch):
    wheel = build(index, tag="cp311-cp311-win_amd64")
    source = acme(make)
    build(index)
    pin = source.pin(None)
    origin = f"{wheel.name}#sha256={hashlib.sha256(wheel.read_bytes()).hexdigest()}"
    there = type(pin)(tuple(f.model_copy(update={"url": origin}) for f in pin.files), pin.revision)
    (index / "acme_data-1.0-py3-none-any.whl").unlink()

    assert fetch(source, there) == dict(sorted(TASKS.items()))


def test_what_is_not_there_is_named(make, index):
    build(index)
    with pytest.raises(FetchError, match=r"could not download acme-data==9\.9") as caught:
        acme(make, version="9.9").pin(None)
    assert "pip config list" in caught.value.hint
    with pytest.raises(FetchError, match=r"no file in acme_data-1\.0-py3-none-any\.whl matches"):
        acme(make, include=["*.csv"]).pin(None)


def test_a_login_in_the_index_is_never_shown(make, monkeypatch, index):
    index.mkdir()
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://anna:pass-word@127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    with pytest.raises(FetchError) as caught:
        acme(make).pin(None)
    assert "pass-word" not in str(caught.value)


def test_a_broken_wheel_is_named(make, index, fetch):
    wheel = build(index)
    source = acme(make)
    pin = source.pin(None)
    wheel.write_bytes(wheel.read_bytes()[:-200])
    with pytest.raises(FetchError):
        fetch(source, pin)


def test_a_member_that_would_leave_the_folder_is_refused(make, index):
    build(index, **{"acme_data/../../evil.jsonl": b"x"})
    with pytest.raises(FetchError, match="not a path that every system can store"):
        acme(make, include=["**/*.jsonl"]).pin(None)


def test_python_without_pip_says_what_to_do(make, index, monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda n, *a: None if n == "pip" else real(n, *a)
    )
    with pytest.raises(FetchError, match="has no pip") as caught:
        acme(make).pin(None)
    assert "ensurepip" in caught.value.hint


@pytest.mark.parametrize(
    "params",
    [{"package": "--index-url=x"}, {"version": ">=1"}, {"include": []}, {"version": "1.0 --pre"}],
)
def test_parameters_that_are_options_are_refused(make, params):
    with pytest.raises(ValidationError):
        acme(make, **params)
