from __future__ import annotations

import os
import socket

import pytest
from pydantic import ValidationError

from khichdi.schema.digest import file_sha256
from khichdi.schema.errors import FetchError


@pytest.fixture
def folder(tmp_path):
    """Return a recipe's folder with some data in it."""
    place = tmp_path / "project"
    for name in ("a.jsonl", "data/b.jsonl", "data/deep/c.jsonl", "data/notes.txt"):
        file = place / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{name}\n")
    return place


def names(pin):
    return [file.path for file in pin.files]


@pytest.mark.parametrize(
    ("include", "expected"),
    [
        (["*.jsonl"], ["a.jsonl"]),
        (["data/*"], ["data/b.jsonl", "data/notes.txt"]),
        (["**/*.jsonl"], ["a.jsonl", "data/b.jsonl", "data/deep/c.jsonl"]),
        (["data/**"], ["data/b.jsonl", "data/deep/c.jsonl", "data/notes.txt"]),
        (["data/[bc].jsonl", "a.jsonl", "*.jsonl"], ["a.jsonl", "data/b.jsonl"]),
    ],
)
def test_patterns_choose_files_sorted_and_once(make, folder, include, expected):
    assert names(make("files", include=include).pin(folder)) == expected


def test_paths_start_in_the_folder_and_bytes_are_copied(make, folder, fetch, matches):
    source = make("files", folder="data", include=["**/*.jsonl"])

    pin = source.pin(folder)

    assert names(pin) == ["b.jsonl", "deep/c.jsonl"]
    assert pin.files[0].sha256 == file_sha256(folder / "data/b.jsonl")
    found = fetch(source, pin, folder)
    assert found == {"b.jsonl": b"data/b.jsonl\n", "deep/c.jsonl": b"data/deep/c.jsonl\n"}
    assert matches(pin)


def test_a_file_that_changed_does_not_match_its_pin(make, folder, fetch, matches):
    source = make("files", include=["a.jsonl"])
    pin = source.pin(folder)
    (folder / "a.jsonl").write_text("other")
    fetch(source, pin, folder)
    assert not matches(pin)


def test_a_file_that_went_is_named(make, folder, fetch):
    source = make("files", include=["a.jsonl"])
    pin = source.pin(folder)
    (folder / "a.jsonl").unlink()
    with pytest.raises(FetchError, match=r"no file a\.jsonl in .*project"):
        fetch(source, pin, folder)


def test_a_link_inside_is_followed_and_one_that_leads_out_is_refused(make, folder, tmp_path):
    (folder / "in.jsonl").symlink_to(folder / "data/b.jsonl")
    assert names(make("files", include=["*.jsonl"]).pin(folder)) == ["a.jsonl", "in.jsonl"]

    (tmp_path / "secret.jsonl").write_text("x")
    (folder / "out.jsonl").symlink_to(tmp_path / "secret.jsonl")
    with pytest.raises(FetchError, match=r"out\.jsonl is a symbolic link to .*secret\.jsonl"):
        make("files", include=["*.jsonl"]).pin(folder)


def test_a_folder_that_links_out_is_refused(make, folder, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/x.jsonl").write_text("x")
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FetchError, match=r"linked/x\.jsonl is a symbolic link"):
        make("files", include=["linked/*.jsonl"]).pin(folder)


def test_pipes_sockets_and_dangling_links_are_refused(make, folder):
    os.mkfifo(folder / "pipe.fifo")
    with pytest.raises(FetchError, match=r"pipe\.fifo in .* is not a plain file"):
        make("files", include=["*.fifo"]).pin(folder)

    with socket.socket(socket.AF_UNIX) as server:
        here = os.getcwd()
        os.chdir(folder)
        try:
            server.bind("s.sock")
        finally:
            os.chdir(here)
    with pytest.raises(FetchError, match=r"s\.sock in .* is not a plain file"):
        make("files", include=["*.sock"]).pin(folder)

    (folder / "nowhere.link").symlink_to(folder / "nothing")
    with pytest.raises(FetchError, match=r"no file nowhere\.link"):
        make("files", include=["*.link"]).pin(folder)


def test_no_match_names_folder_and_patterns(make, folder):
    with pytest.raises(FetchError, match=r"no file in .*/project/data matches \*\.csv, x/\*"):
        make("files", folder="data", include=["*.csv", "x/*"]).pin(folder)


def test_a_missing_folder_is_named(make, folder):
    with pytest.raises(FetchError, match=r"there is no folder .*nope"):
        make("files", folder="nope", include=["*"]).pin(folder)


def test_the_folder_is_outside_every_key(make):
    assert type(make("files", include=["*"])).operational() == {"folder"}


@pytest.mark.parametrize(
    "pattern", ["", "/etc/*", "../*", "a//b", "a/../b", "a**/b", "./a", "a\\b"]
)
def test_patterns_that_could_leave_the_folder_are_refused(make, pattern):
    with pytest.raises(ValidationError):
        make("files", include=[pattern])
