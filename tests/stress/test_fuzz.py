"""Readers of documents of others read or refuse whatever they are given."""

from __future__ import annotations

from pathlib import Path

from sizes import sized

from .fuzz import MEMORY, fuzz


def test_no_document_of_others_makes_a_reader_fail(tmp_path: Path) -> None:
    count = sized(20_000, few=160)
    found = fuzz(tmp_path, count)
    print(found.text())
    assert found.faults == []
    assert found.counts.total() == count
    assert found.grown < MEMORY
