from __future__ import annotations

import subprocess

import pytest
from pydantic import ValidationError

from khichdi.schema.errors import FetchError


def git(folder, *arguments):
    command = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path):
    """Return a repository with two commits: a tag on the first, a branch beside the second."""
    place = tmp_path / "repository"
    (place / "tasks").mkdir(parents=True)
    git(place, "init", "--quiet", "--initial-branch=main")
    (place / "tasks/task1.json").write_bytes(b"{}\r\n")
    (place / "tasks/täsk 2.json").write_bytes(b"[1]\n")
    (place / "README.md").write_text("$Id$")
    (place / ".gitattributes").write_text("* text=auto eol=crlf\n*.md ident export-subst\n")
    git(place, "add", ".")
    git(place, "commit", "--quiet", "-m", "one")
    git(place, "tag", "-a", "v1", "-m", "first")
    git(place, "branch", "old")
    (place / "tasks/task1.json").write_bytes(b'{"new": 1}')
    git(place, "add", ".")
    git(place, "commit", "--quiet", "-m", "two")
    return place


def blobs(place, revision):
    """Return what git itself has of the tasks at a revision."""
    paths = git(place, "ls-tree", "-r", "-z", "--name-only", revision).split("\0")
    return {
        path: subprocess.run(
            ["git", "-C", str(place), "cat-file", "blob", f"{revision}:{path}"],
            check=True,
            capture_output=True,
        ).stdout
        for path in paths
        if path.startswith("tasks/")
    }


@pytest.mark.parametrize(
    ("revision", "same"),
    [
        ("HEAD", "HEAD"),
        ("main", "HEAD"),
        ("v1", "v1^{}"),
        ("old", "v1^{}"),
        ("refs/tags/v1", "v1^{}"),
    ],
)
def test_a_revision_is_pinned_to_its_commit(make, repository, revision, same):
    source = make("git", url=str(repository), revision=revision, include=["tasks/*"])
    pin = source.pin(repository.parent)
    assert pin.revision == git(repository, "rev-parse", same)
    assert [file.path for file in pin.files] == ["tasks/task1.json", "tasks/täsk 2.json"]


def test_files_come_as_the_repository_holds_them(make, repository, fetch, matches):
    source = make("git", url=str(repository), include=["**/*"])
    pin = source.pin(repository.parent)

    found = fetch(source, pin)

    assert {p: d for p, d in found.items() if p.startswith("tasks/")} == blobs(repository, "HEAD")
    assert found["README.md"] == b"$Id$"
    assert matches(pin)


def test_a_branch_that_moved_still_gives_the_pinned_bytes(make, repository, fetch, matches):
    source = make("git", url=repository.name, revision="main", include=["tasks/*"])
    pin = source.pin(repository.parent)
    expected = blobs(repository, "HEAD")
    (repository / "tasks/task1.json").write_text("moved")
    git(repository, "commit", "--quiet", "--all", "-m", "three")

    assert fetch(source, pin, repository.parent) == expected
    assert matches(pin)
    assert source.pin(repository.parent).revision != pin.revision


def test_a_commit_is_taken_as_it_is(make, repository):
    first = git(repository, "rev-parse", "v1^{}")
    source = make("git", url=f"file://{repository}", revision=first, include=["tasks/task1.json"])
    assert source.pin(repository.parent).revision == first


def test_the_folder_of_another_repository_does_not_leak_in(make, repository, monkeypatch):
    monkeypatch.setenv("GIT_DIR", str(repository / "nowhere"))
    source = make("git", url=str(repository), include=["README.md"])
    assert len(source.pin(repository.parent).files) == 1


def test_a_name_that_is_branch_and_tag_must_be_said_in_full(make, repository):
    git(repository, "tag", "old", "main")
    with pytest.raises(FetchError, match="a branch and a tag named `old`") as caught:
        make("git", url=str(repository), revision="old", include=["*"]).pin(repository)
    assert "refs/heads/old" in caught.value.hint


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"include": ["*.csv"]}, r"no file of .* matches \*\.csv"),
        ({"include": ["*"], "revision": "dev"}, "no branch or tag `dev`"),
        ({"include": ["*"], "revision": "0" * 40}, "git could not read"),
    ],
)
def test_what_is_not_there_is_named(make, repository, params, message):
    with pytest.raises(FetchError, match=message):
        make("git", url=str(repository), **params).pin(repository)


def test_links_and_large_file_pointers_are_refused(make, repository):
    (repository / "link").symlink_to("README.md")
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
    (repository / "big.bin").write_bytes(pointer)
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "-m", "odd")

    with pytest.raises(FetchError, match=r"link in .* is a symbolic link"):
        make("git", url=str(repository), include=["link"]).pin(repository)
    with pytest.raises(FetchError, match=r"big\.bin in .* is kept by Git LFS"):
        make("git", url=str(repository), include=["big.bin"]).pin(repository)


@pytest.mark.heavy  # git is run
def test_a_place_that_is_no_repository_is_named_without_its_login(make, tmp_path):
    url = "http://anna:pass-word@127.0.0.1:9/x.git"
    with pytest.raises(FetchError, match=r"could not read http://127\.0\.0\.1:9/x\.git") as caught:
        make("git", url=url, include=["*"]).pin(tmp_path)
    assert "pass-word" not in str(caught.value)


def test_git_that_is_not_installed_is_said(make, repository, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FetchError, match="git is not installed"):
        make("git", url=str(repository), include=["*"]).pin(repository)


@pytest.mark.parametrize(
    "params",
    [{"url": "--upload-pack=x"}, {"url": "ext::sh -c x"}, {"url": "x", "revision": "--all"}],
)
def test_options_in_disguise_are_refused(make, params):
    with pytest.raises(ValidationError):
        make("git", include=["*"], **params)


def test_a_repository_with_sha256_names_is_read_too(make, tmp_path, fetch, matches):
    place = tmp_path / "modern"
    place.mkdir()
    git(place, "init", "--quiet", "--object-format=sha256", "--initial-branch=main")
    (place / "a.json").write_text("{}")
    git(place, "add", ".")
    git(place, "commit", "--quiet", "-m", "one")
    source = make("git", url=str(place), include=["*.json"])

    pin = source.pin(tmp_path)

    assert len(pin.revision) == 64
    assert fetch(source, pin) == {"a.json": b"{}"}
    assert matches(pin)
