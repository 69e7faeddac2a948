"""Files whose bytes differ are named, a few of many, each on one line."""

from __future__ import annotations

from khichdi.cli.format_value import both
from khichdi.compiler.diff import Change, FileChange


def test_new_gone_and_changed_files_are_told_from_one_another_and_many_are_counted() -> None:
    files = (
        FileChange("a.jsonl", 1_204, 1_310),
        FileChange("b\n.jsonl", None, 7),
        FileChange("c.jsonl", 8, None),
        FileChange("d.jsonl", 9, 9),
        FileChange("e.jsonl", 9, 9),
    )
    text = both(Change("bytes of x", "sha256:1", "sha256:2", files=files))
    assert text == (
        "a.jsonl changed (1,204 B -> 1,310 B), new b\\n.jsonl (7 B), gone c.jsonl (8 B), "
        "and 2 more files"
    )
    assert both(Change("bytes of x", "sha256:1", "sha256:2", files=files[3:4])) == (
        "d.jsonl changed (9 B on both sides)"
    )
