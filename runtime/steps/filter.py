"""Filters and editors: which rows stay, and what their text is afterwards."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ...plugins.kinds import Editor, FilterInputs
from ...schema.digest import draws
from ..tables import batches, read_table
from .context import Context, Outcome
from .ledger import Ledger

AGAINST = "against/"


def filter_rows(context: Context) -> Outcome:
    """Keep the rows that a filter has no reason to drop; note the others with their reason."""
    plugin = context.plugin()
    plugin.begin(_inputs(context))
    schema = read_table(context.inputs["rows"]).schema
    ledger = Ledger(context, schema)
    edited = 0
    for batch in batches(context.inputs["rows"]):
        if isinstance(plugin, Editor):
            after = _edited(context, plugin, batch)
            edited += _differing(batch, after)
            batch = after
        reasons = plugin.reasons(batch)
        if len(reasons) != batch.num_rows:
            raise context.fail(f"gave {len(reasons)} reasons for {batch.num_rows} rows")
        ledger.add(batch, reasons)
    return ledger.outcome(**({"edited": edited} if isinstance(plugin, Editor) else {}))


def _inputs(context: Context) -> FilterInputs:
    found = context.inputs
    return FilterInputs(
        files={name: context.folder(name) for name in context.plugin().sources},
        benchmarks={
            role.removeprefix(AGAINST): read_table(folder)
            for role, folder in sorted(found.items())
            if role.startswith(AGAINST)
        },
        base=context.base() if "base" in found else None,
    )


def _edited(context: Context, plugin: Editor[Any], batch: pa.RecordBatch) -> pa.RecordBatch:
    seed = context.step.seed
    draw = [] if seed is None else draws(seed, batch.column("id").to_pylist())
    after = plugin.edit(batch, draw)
    if after.schema != batch.schema or not after.column("id").equals(batch.column("id")):
        raise context.fail("an editor gives the same rows back, with the same ids and columns")
    return after


def _differing(before: pa.RecordBatch, after: pa.RecordBatch) -> int:
    """Return how many rows have another value in some column."""
    changed = pa.array([False] * before.num_rows, pa.bool_())
    for old, new in zip(before.columns, after.columns, strict=True):
        if old.equals(new):
            continue
        if pa.types.is_nested(old.type):
            pairs = zip(old.to_pylist(), new.to_pylist(), strict=True)
            other = pa.array([one != two for one, two in pairs], pa.bool_())
        else:
            other = pc.not_equal(old, new)
        changed = pc.or_(changed, other)
    return int(pc.sum(changed).as_py() or 0)
