"""Filter and edit rows by filter plugins."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from ...plugins.kinds import Editor
from ..tables import read_table
from .context import Context, Outcome
from .drop_log import Ledger
from .parallel_filter import FilterJob, answers

AGAINST = "against/"


def filter_rows(context: Context) -> Outcome:
    """Keep the rows that a filter has no reason to drop; note the others with their reason."""
    plugin = context.plugin()
    found = context.inputs
    job = FilterJob(
        plugin=plugin,
        rows=found["rows"],
        files={name: context.folder(name) for name in plugin.sources},
        benchmarks={
            role.removeprefix(AGAINST): folder
            for role, folder in sorted(found.items())
            if role.startswith(AGAINST)
        },
        base=context.base() if "base" in found else None,
        seed=context.step.seed,
    )
    ledger = Ledger(context, read_table(found["rows"]).schema)
    edited = 0
    for before, (after, reasons) in answers(job):
        if isinstance(plugin, Editor):
            edited += _differing(before, after)
        ledger.add(after, reasons)
    return ledger.outcome(**({"edited": edited} if isinstance(plugin, Editor) else {}))


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
