"""Steps over the rows of one data set: read, filter, score, sample."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ...plugins.kinds import Progress, SourceFile
from ...schema.digest import draws
from ...schema.rows import COLUMNS, drop_schema, row_schema
from ..tables import BATCH, TableWriter, batches, read_table
from .context import Context, Outcome, Produced


def read(context: Context) -> Outcome:
    """Turn a source's files into rows with every column of the schema."""
    root = context.inputs["files"]
    paths = sorted(path for path in root.rglob("*") if path.is_file())
    files = [SourceFile(path.relative_to(root).as_posix(), path) for path in paths]
    schema = row_schema()
    folder = context.output("rows")
    with TableWriter(folder, schema) as writer:
        for batch in context.plugin().read(files):
            writer.write(_complete(batch, context, schema))
            context.report(Progress(writer.rows, 0, unit="rows"))
    if writer.rows == 0:
        raise context.fail(f"no rows in {len(files)} files")
    return Outcome(
        {"rows": Produced(folder, "rows", writer.digest())}, facts={"rows_out": writer.rows}
    )


def _complete(batch: pa.RecordBatch, context: Context, schema: pa.Schema) -> pa.RecordBatch:
    """Put the data set's name before ids, and fill the columns that a reader leaves out."""
    extra = set(batch.schema.names) - set(COLUMNS)
    if extra or "id" not in batch.schema.names:
        raise context.fail(f"the reader gave columns {sorted(batch.schema.names)}; see rows.py")
    name = str(context.step.settings["data_set"])
    license_ = context.step.settings["license"] or ""
    columns: list[Any] = []
    for field in schema:
        if field.name == "id":
            column = pc.binary_join_element_wise(name, batch.column("id"), "/")
        elif field.name == "source":
            column = pa.array([name] * batch.num_rows, pa.string())
        elif field.name in batch.schema.names:
            column = _typed(batch.column(field.name), field, context)
        else:
            empty: Any = "" if field.type == pa.string() else []
            column = pa.array([empty] * batch.num_rows, field.type)
        if field.name == "license":
            column = pc.if_else(pc.equal(column, ""), license_, column)
        columns.append(column.cast(field.type))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _typed(column: pa.Array, field: pa.Field, context: Context) -> pa.Array:
    if column.null_count:
        empty: Any = "" if field.type == pa.string() else []
        column = pa.array([empty if v is None else v for v in column.to_pylist()], field.type)
    try:
        return column.cast(field.type)
    except pa.ArrowException:
        raise context.fail(
            f"the reader gave `{field.name}` as {column.type}, expected {field.type}"
        ) from None


def filter_rows(context: Context) -> Outcome:
    """Keep the rows that a filter has no reason to drop; note the others with their reason."""
    plugin = context.plugin()
    ledger = _Ledger(context)
    for batch in batches(context.inputs["rows"]):
        reasons = plugin.reasons(batch)
        if len(reasons) != batch.num_rows:
            raise context.fail(f"gave {len(reasons)} reasons for {batch.num_rows} rows")
        ledger.add(batch, reasons)
    return ledger.outcome()


def sample(context: Context) -> Outcome:
    """Keep the rows that a sampler selects; the others are noted as `not-sampled`."""
    table = read_table(context.inputs["rows"])
    seed = context.step.seed or 0
    numbers = draws(seed, table.column("id").to_pylist())
    selected = set(context.plugin().select(table, numbers))
    if not all(0 <= index < table.num_rows for index in selected):
        raise context.fail(f"selected a row that is not there; there are {table.num_rows}")
    ledger = _Ledger(context)
    start = 0
    for batch in table.to_batches(max_chunksize=BATCH):
        reasons = [
            None if start + index in selected else "not-sampled" for index in range(batch.num_rows)
        ]
        ledger.add(batch, reasons)
        start += batch.num_rows
    return ledger.outcome()


def score(context: Context) -> Outcome:
    """Give each row a number, in a column `score` beside the others."""
    plugin = context.plugin()
    folder = context.output("rows")
    schema = row_schema().append(pa.field("score", pa.float64()))
    with TableWriter(folder, schema) as writer:
        for batch in batches(context.inputs["rows"]):
            scores = plugin.score(batch)
            if len(scores) != batch.num_rows or not all(map(math.isfinite, scores)):
                raise context.fail(f"gave no finite number for each of {batch.num_rows} rows")
            columns = [*batch.columns, pa.array(scores, pa.float64())]
            writer.write(pa.RecordBatch.from_arrays(columns, schema=schema))
    return Outcome(
        {"rows": Produced(folder, "rows", writer.digest())},
        facts={"rows_in": writer.rows, "rows_out": writer.rows},
    )


class _Ledger:
    """Writes kept rows to one table, and the id and reason of dropped ones to another."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.reasons: Counter[str] = Counter()
        self.rows_in = 0
        schema = read_table(context.inputs["rows"]).schema
        self.kept_folder: Path = context.output("rows")
        self.drops_folder: Path = context.output("drops")
        self.kept = TableWriter(self.kept_folder, schema)
        self.drops = TableWriter(self.drops_folder, drop_schema())

    def add(self, batch: pa.RecordBatch, reasons: Sequence[str | None]) -> None:
        self.rows_in += batch.num_rows
        keep = pa.array([reason is None for reason in reasons], pa.bool_())
        self.kept.write(batch.filter(keep))
        dropped = [reason for reason in reasons if reason is not None]
        self.reasons.update(dropped)
        ids = batch.column("id").filter(pc.invert(keep))
        self.drops.write(
            pa.RecordBatch.from_arrays([ids, pa.array(dropped, pa.string())], schema=drop_schema())
        )
        self.context.report(Progress(self.rows_in, 0, unit="rows"))

    def outcome(self) -> Outcome:
        for writer in (self.kept, self.drops):
            writer.__exit__(None, None, None)
        return Outcome(
            {
                "rows": Produced(self.kept_folder, "rows", self.kept.digest()),
                "drops": Produced(self.drops_folder, "drops", self.drops.digest()),
            },
            facts={
                "rows_in": self.rows_in,
                "rows_out": self.kept.rows,
                "drops": dict(sorted(self.reasons.items())),
            },
        )
