"""Hostile files: each is refused in a sentence, within small multiples of what a check costs."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

TIMES = 6
"""Bound on processor time, in that of checking a good recipe: ten thousand values take three."""
MEMORY = 64 << 20
SECONDS = 60
"""Processor time after which a check is killed."""
SCRIPT = """
import json, re, sys, time
from khichdi.cli.main import main
status = main(sys.argv[1:])
peak = re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())
print(json.dumps([status, time.process_time(), int(peak[1]) * 1024]), file=sys.stderr)
"""
BASE = """\
recipe: 1
model: {base: {use: files, include: [x]}, adapter: {use: lora}}
train: {use: qlora, template: {use: alpaca}}
"""
SIZE = 260_000


class Checked(NamedTuple):
    """What a check says, and what it costs: processor seconds, and bytes of memory at the peak."""

    out: str
    status: int
    seconds: float
    peak: int

    def in_bounds(self, usual: Checked) -> bool:
        """Return whether it costs little more than a usual check."""
        return self.seconds < TIMES * usual.seconds and self.peak < usual.peak + MEMORY


def check(folder: Path, name: str) -> Checked:

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))

    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, "validate", name],
        cwd=folder,
        capture_output=True,
        text=True,
        errors="replace",
        preexec_fn=limit,
    )
    assert done.returncode == 0, f"killed ({done.returncode}): {done.stderr[-2000:]}"
    return Checked(done.stdout, *json.loads(done.stderr.splitlines()[-1]))


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Checked:
    """Return what checking a good recipe costs."""
    usual = check(tmp_path_factory.mktemp("usual"), "quickstart.yaml")
    assert usual.status == 0
    return usual


def bomb() -> str:
    rows = ["a: &a [x, x]"]
    rows += [
        f"{chr(97 + i)}: &{chr(97 + i)} [{', '.join([f'*{chr(96 + i)}'] * 9)}]"
        for i in range(1, 20)
    ]
    return "\n".join(rows)


TEXTS: dict[str, tuple[str | bytes, str]] = {
    "alias bomb": (bomb(), "anchors and aliases"),
    "alias bomb behind a recipe": (BASE + bomb(), "anchors and aliases"),
    "an alias of itself": ("a: &a [*a]\n", "anchors and aliases"),
    "keys twice": ("a: 1\n" * 9_000, "given twice"),
    "tabs": ("recipe: 1\nmodel:\n\tbase: 1\n", "a tab cannot indent"),
    "only tabs": ("\t" * SIZE, "a tab cannot indent"),
    "deep brackets": ("[" * SIZE, "at most 50 levels"),
    "deep braces": ("{" * SIZE, "at most 50 levels"),
    "deep dashes": ("- " * (SIZE // 2), "at most 50 levels"),
    "deep keys": ("? " * (SIZE // 2), "at most 50 levels"),
    "deep indents": ("".join(" " * i + "a:\n" for i in range(700)), "at most 50 levels"),
    "utf-16": (("recipe: 1\n" * 9).encode("utf-16"), "UTF-16"),
    "utf-16 without a mark": (("recipe: 1\n" * 9).encode("utf-16-le"), "UTF-16"),
    "utf-32": (("recipe: 1\n" * 9).encode("utf-32"), "UTF-16 or UTF-32"),
    "latin-1": ("recipe: 1\nname: é\n".encode("latin-1"), "not UTF-8: byte 0xe9"),
    "NUL": (b"recipe: 1\nname: a\0b\n", "U+0000"),
    "control characters": (b"recipe: \x1b[31m1\n", "U+001B"),
    "NUL as an escape": (BASE + 'data: {a: {license: "a\\0b"}}\n', "no NUL"),
    "half a character": (BASE + 'data: {a: {license: "\\uD800"}}\n', "surrogate"),
    "one long line": ("a: " + "x " * (SIZE // 2), "unknown key"),
    "one long key": ("x" * SIZE + ": 1\n", "not YAML"),
    "a quote without end": ('recipe: 1\nname: "' + "x\n" * (SIZE // 2), "is not closed"),
    "quotes": ("'" * SIZE, "this is one value"),
    "an exotic tag": ("a: !!python/object/apply:os.system [ls]\n", "the tag"),
    "a long tag": ("a: !" + "x" * SIZE, "the tag"),
    "a merge key": ("<<: {a: 1}\n", "plain word"),
    "a huge number": (f"recipe: {'9' * 100_000}\n", "not a number that a recipe can hold"),
    "a huge exponent": ("recipe: 1e999999\n", "not a number that a recipe can hold"),
    "many values": ("a: [" + "1," * (SIZE // 2) + "]", "at most 10,000 values"),
    "many keys": ("".join(f"a{i}: 1\n" for i in range(9_900)), "more errors not shown"),
    "many data sets": (
        BASE + "data:\n" + "".join(f" a{i}: 1\n" for i in range(9_900)),
        "must be a mapping",
    ),
    "many filters": (
        BASE
        + "data: {a: {source: {use: files, include: [x]}, read: {use: jsonl}, filters: ["
        + "{use: max-words, below: 3}," * 3_000
        + "]}}\n",
        "twice with the same parameters",
    ),
    "two documents": ("recipe: 1\n---\nrecipe: 1\n", "one document"),
    "nothing": ("", "the file is empty"),
    "blank lines": ("\n" * SIZE, "the file is empty"),
    "a list": ("- recipe: 1\n", "this is a list"),
    "one value": ("recipe\n", "this is one value"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_hostile_text_is_refused_in_bounds(name: str, tmp_path: Path, usual: Checked) -> None:
    text, expected = TEXTS[name]
    (tmp_path / "h.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    checked = check(tmp_path, "h.yaml")
    out = checked.out
    assert checked.status == 2
    assert expected in out
    assert out.startswith("h.yaml:")
    assert "Traceback" not in out
    assert checked.in_bounds(usual), (checked[2:], usual[2:])


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    (tmp_path / "h.yaml").write_bytes(b"\xef\xbb\xbfrecpie: 1\n")
    assert "h.yaml:1:1: unknown key `recpie`" in check(tmp_path, "h.yaml").out


def large(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(100 << 20)


FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "100 MB": (large, "the file has 104,857,600 bytes; a recipe has at most"),
    "a device without end": (lambda path: path.symlink_to("/dev/zero"), "is a device or a pipe"),
    "a pipe": (os.mkfifo, "is a device or a pipe"),
    "a folder": (Path.mkdir, "is a folder"),
    "a link to itself": (lambda path: path.symlink_to(path), "cannot read h.yaml"),
    "nothing": (lambda path: None, "there is no recipe h.yaml"),
}


@pytest.mark.parametrize("name", FILES)
def test_what_is_no_small_file_is_not_read(name: str, tmp_path: Path, usual: Checked) -> None:
    make, expected = FILES[name]
    make(tmp_path / "h.yaml")
    checked = check(tmp_path, "h.yaml")
    out = checked.out
    assert checked.status == 2
    assert expected in out
    assert checked.in_bounds(usual), (checked[2:], usual[2:])


def test_a_name_that_no_file_can_have_is_a_sentence(tmp_path: Path) -> None:
    checked = check(tmp_path, "x" * 5000)
    assert checked.status == 2
    assert "cannot read" in checked.out or "there is no recipe" in checked.out
