"""Log dropped rows with their reasons, beside the rows that are kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from ...plugins.kinds import Drop, Progress
from ...schema.rows import drop_schema
from ..tables import TableWriter
from .context import Context, Outcome, Produced


class Ledger:
    """Writes kept rows to one table, and the id, reason and detail of dropped ones to another."""

    def __init__(self, context: Context, schema: pa.Schema) -> None:
        self.context = context
        self.reasons: Counter[str] = Counter()
        self.rows_in = 0
        self.folders = {name: context.output(name) for name in ("rows", "drops")}
        self.kept = TableWriter(self.folders["rows"], schema)
        self.drops = TableWriter(self.folders["drops"], drop_schema())

    @property
    def rows_out(self) -> int:
        """How many rows were kept so far."""
        return self.kept.rows

    def keep(self, batch: pa.RecordBatch) -> None:
        """Keep a batch whole."""
        self.rows_in += batch.num_rows
        self.kept.write(batch)
        self.context.report(Progress(self.rows_in, 0, unit="rows"))

    def drop(self, row: str, drop: Drop) -> None:
        """Note one record that never became a row."""
        self.rows_in += 1
        self.reasons[drop.reason] += 1
        self._note(pa.array([row], pa.string()), [drop])

    def add(self, batch: pa.RecordBatch, reasons: Sequence[str | Drop | None]) -> None:
        """Keep the rows of a batch that have no reason to go, and note the others."""
        if all(reason is None for reason in reasons):
            self.keep(batch)
            return
        self.rows_in += batch.num_rows
        keep = pa.array([reason is None for reason in reasons], pa.bool_())
        self.kept.write(batch.filter(keep))
        drops = [r if isinstance(r, Drop) else Drop(r) for r in reasons if r is not None]
        self.reasons.update(drop.reason for drop in drops)
        self._note(batch.column("id").filter(pc.invert(keep)), drops)
        self.context.report(Progress(self.rows_in, 0, unit="rows"))

    def _note(self, ids: pa.Array, drops: Sequence[Drop]) -> None:
        reasons = pa.array([drop.reason for drop in drops], pa.string())
        details = pa.array([drop.detail for drop in drops], pa.string())
        self.drops.write(pa.RecordBatch.from_arrays([ids, reasons, details], schema=drop_schema()))

    def outcome(self, **facts: int) -> Outcome:
        """Close both tables and return them with their counts."""
        for writer in (self.kept, self.drops):
            writer.__exit__(None, None, None)
        return Outcome(
            {
                "rows": Produced(self.folders["rows"], "rows", self.kept.digest()),
                "drops": Produced(self.folders["drops"], "drops", self.drops.digest()),
            },
            facts={
                "rows_in": self.rows_in,
                "rows_out": self.kept.rows,
                "drops": dict(sorted(self.reasons.items())),
                **facts,
            },
        )
