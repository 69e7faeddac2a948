"""The rows of a step of a run, and a few of them drawn by a seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from ...schema.digest import draws
from ...schema.errors import InputError, StoreError
from ...schema.record import Record, RecordedStep
from ..store.store import Store
from ..tables import read_table

SIDES = ("train", "validation")
SPLIT = "split"
"""The column that says on which side of the split a row is."""


@dataclass(frozen=True)
class StepRows:
    """The rows that a step of a run left.

    Attributes:
        step: the step's name.
        table: every column of `khichdi.schema.rows`, a score where there is one, and of the split
            the column `split`: `train` or `validation`.
    """

    step: str
    table: pa.Table

    def sides(self) -> dict[str, int]:
        """Return how many rows are on each side of the split; nothing for any other step."""
        if SPLIT not in self.table.column_names:
            return {}
        sides = self.table.column(SPLIT).to_pylist()
        return {side: sides.count(side) for side in SIDES}


def rows_of(record: Record, store: Store, name: str) -> StepRows:
    """Return the rows of a step.

    Raises:
        InputError: the step makes something else than rows.
        StoreError: the store does not have them any more.
    """
    step = next(done for done in record.steps if done.name == name)
    if step.kind == "split":
        sides = [_side(store, step, side) for side in SIDES]
        return StepRows(name, pa.concat_tables(sides))
    if "rows" not in step.result.outputs:
        made = ", ".join(step.result.outputs)
        known = ", ".join(done.name for done in record.steps if has_rows(done))
        raise InputError(f"step {name} makes {made}, not rows", hint=f"steps with rows: {known}")
    return StepRows(name, _table(store, step, "rows"))


def has_rows(step: RecordedStep) -> bool:
    """Return whether a step leaves rows."""
    return step.kind == "split" or "rows" in step.result.outputs


def drawn(rows: StepRows, count: int, seed: int) -> list[Mapping[str, Any]]:
    """Return some rows, in their order; which ones follows from the seed and their ids alone."""
    numbers = draws(seed, rows.table.column("id").to_pylist())
    chosen = sorted(sorted(range(len(numbers)), key=numbers.__getitem__)[:count])
    found: list[Mapping[str, Any]] = rows.table.take(chosen).to_pylist()
    return found


def _side(store: Store, step: RecordedStep, side: str) -> pa.Table:
    table = _table(store, step, side)
    return table.append_column(SPLIT, pa.array([side] * table.num_rows, pa.string()))


def _table(store: Store, step: RecordedStep, output: str) -> pa.Table:
    folder = store.folder(step.result.outputs[output])
    if not folder.is_dir():
        raise StoreError(
            f"the store does not have {step.name}#{output} any more",
            hint="run the recipe again: only missing results are recomputed",
        )
    return read_table(folder)
