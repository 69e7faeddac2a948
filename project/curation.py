"""Read the rows that a run curated: write them to a file, draw some, count them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..compiler.until import step_named
from ..schema.errors import InputError, StoreError
from .run_lookup import Run, open_run

if TYPE_CHECKING:
    import pyarrow as pa

    from ..runtime.curation.rows import StepRows
    from ..runtime.curation.statistics import Statistics

MIXTURE = "mixture"
"""The part of a recipe whose rows are meant where no step is named: the rows after the split."""
AT = "#"
"""Stands between a run and a step, as in `latest#data/lima/read`."""


def open_rows(
    run: str | Path, step: str | None = None, *, store: str | Path | None = None
) -> tuple[Run, StepRows]:
    """Return a run, and the rows that a step of it left.

    Args:
        run: a run, as `open_run` takes it; `RUN#STEP` names the step too.
        step: a step, or a part of the recipe such as `data/lima`; left out, the mixture.
        store: the store's folder; left out, found as `store_folder` says.

    Raises:
        InputError: there is no such run or step, or the step makes no rows.
        StoreError: the store does not have the rows any more.
    """
    from ..runtime.curation.rows import has_rows, rows_of

    name, _, named = str(run).partition(AT)
    if named and step:
        raise InputError(f"two steps are named: {named} and {step}", hint="name one of them")
    found = open_run(name, store=store)
    asked = step or named
    if not asked and not found.has("split"):
        asked = next(done.name for done in reversed(found.record.steps) if has_rows(done))
    return found, rows_of(found.record, found.store, step_named(found.plan(), asked or MIXTURE))


def write_rows(run: Run, rows: StepRows, path: Path) -> None:
    """Write rows to a file: `.jsonl`, `.parquet` or `.csv`; Parquet says which run they are of.

    Raises:
        InputError: the file's name ends with none of these.
        StoreError: it cannot be written.
    """
    from ..runtime.curation.write import write_rows as write

    about = {
        "recipe": run.record.recipe,
        "recipe_hash": run.recipe_hash,
        "result_hash": run.result_hash,
        "step": rows.step,
    }
    write(rows.table, path, about)


def sample_rows(rows: StepRows, count: int, seed: int) -> list[Mapping[str, Any]]:
    """Return some rows, drawn by a seed and their ids; the same seed gives the same rows.

    Raises:
        InputError: the count is not positive, or the seed is negative.
    """
    from ..runtime.curation.rows import drawn

    if count < 1:
        raise InputError(f"-n {count}: at least 1 was expected")
    if seed < 0:
        raise InputError(f"--seed {seed}: at least 0 was expected")
    return drawn(rows, count, seed)


def statistics_of(run: Run, rows: StepRows) -> Statistics:
    """Return statistics of rows; lengths in tokens where the run packed them.

    A run whose packs are not in the store any more has no lengths in tokens.
    """
    from ..runtime.curation.statistics import statistics

    return statistics(rows, run.record, _packs(run) if rows.step == "split" else [])


def _packs(run: Run) -> list[pa.Table]:
    from ..runtime.tables import read_table

    step = next((done for done in run.record.steps if done.kind == "pack"), None)
    if step is None:
        return []
    folders = [run.store.folder(step.result.outputs[side]) for side in ("train", "validation")]
    try:
        return [read_table(folder) for folder in folders if folder.is_dir()]
    except StoreError:
        return []
