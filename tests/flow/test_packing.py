"""How a recipe's samples share packs, from its text to what is trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from khichdi.runtime.tables import read_table

from .conftest import Workdir


def packs(workdir: Workdir) -> list[dict[str, Any]]:
    """Return the packs that the workdir's one run trained on."""
    folders = {path.parent for path in workdir.folder.glob("store/artifacts/*/table.arrow")}
    tables = [read_table(folder) for folder in sorted(folders)]
    found = [table for table in tables if "lengths" in table.column_names]
    largest: list[dict[str, Any]] = max(found, key=lambda table: table.num_rows).to_pylist()
    return largest


@pytest.mark.slow
def test_wrapped_packs_are_full_and_one_sample_each(workdir: Workdir) -> None:
    workdir.edit("  sequence_len: 96\n", "  sequence_len: 96\n  packing_strategy: wrapped\n")
    workdir.edit("num_epochs: 3", "max_steps: 3")
    workdir.json("run", "pico.yaml")
    found = packs(workdir)
    assert all(len(pack["input_ids"]) == 96 for pack in found[:-1])
    assert all(pack["lengths"] == [len(pack["input_ids"])] for pack in found)
    rows = [row for pack in found for row in pack["ids"]]
    assert len(rows) > len(set(rows)), "some row goes on in the next pack"


@pytest.mark.slow
def test_like_lengths_together_without_packing(workdir: Workdir) -> None:
    workdir.edit("num_epochs: 3", "max_steps: 3\n  sample_packing: false\n  group_by_length: true")
    workdir.json("run", "pico.yaml")
    assert all(len(pack["lengths"]) == 1 for pack in packs(workdir))


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("train.group_by_length=true", "`group_by_length` has nothing to group"),
        ("train.sample_packing=false", "`packing_strategy: wrapped` without packing"),
    ],
)
def test_what_has_no_meaning_together_is_refused(
    workdir: Workdir, setting: str, words: str, tmp_path: Path
) -> None:
    workdir.edit("  sequence_len: 96\n", "  sequence_len: 96\n  packing_strategy: wrapped\n")
    status, out, err = workdir.call("plan", "pico.yaml", "--set", setting)
    assert status == 2
    assert words in out + err
