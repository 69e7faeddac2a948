"""Read, score and sample the rows of one data set; filters are in `filter.py`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ...plugins.kinds import Drop, Scores, ScoringJob, SourceFile
from ...plugins.result_checks import check_read, check_scores, check_selected
from ...plugins.side_effects import PluginError
from ...schema.digest import draws
from ...schema.errors import KhichdiError
from ...schema.rows import COLUMNS, complete_turns, row_schema
from ..tables import BATCH, read_table, write_table
from .context import Context, Outcome, Produced
from .drop_log import Ledger


def read(context: Context) -> Outcome:
    """Turn a source's files into rows with every column of the schema."""
    root = context.inputs["files"]
    paths = sorted(path for path in root.rglob("*") if path.is_file())
    files = [SourceFile(path.relative_to(root).as_posix(), path) for path in paths]
    return write_rows(context, context.plugin().read(files))


def write_rows(context: Context, records: Iterable[pa.RecordBatch | Drop]) -> Outcome:
    """Write a reader's rows, with every column of the schema."""
    schema = row_schema()
    ledger = Ledger(context, schema)
    name = str(context.step.settings["data_set"])
    for found in _checked(records):
        if isinstance(found, Drop):
            ledger.drop(f"{name}/{found.id}", found)
        else:
            ledger.keep(_complete(found, context, schema))
    if ledger.rows_out == 0:
        raise context.fail("the source's files hold no rows")
    return ledger.outcome()


def _checked(records: Iterable[Any]) -> Iterator[pa.RecordBatch | Drop]:
    """Yield what a reader yields; an error names the last row that came before it."""
    last: str | None = None
    if not isinstance(records, Iterable):
        raise PluginError(
            f"gave {type(records).__name__}; an iterator of record batches was expected"
        )
    following = iter(records)
    while True:
        try:
            found = next(following)
            check_read(found)
        except StopIteration:
            return
        except (KhichdiError, ModuleNotFoundError, OSError) as error:
            if isinstance(error, PluginError) and error.row is None and last:
                error.row = f"after {last}"
            raise
        except Exception as error:
            row = f"after {last}" if last else "the first"
            raise PluginError(f"{type(error).__name__}: {error}", row=row) from error
        if isinstance(found, Drop):
            last = found.id
        elif found.num_rows and "id" in found.schema.names:
            last = found.column("id")[found.num_rows - 1].as_py()
        yield found


def _complete(batch: pa.RecordBatch, context: Context, schema: pa.Schema) -> pa.RecordBatch:
    """Put the data set's name before ids, and fill the columns that a reader leaves out."""
    extra = set(batch.schema.names) - set(COLUMNS)
    if extra or "id" not in batch.schema.names:
        raise context.fail(f"the reader returned columns {sorted(batch.schema.names)}; see rows.py")
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
        if field.name == "turns" and pa.types.is_list(column.type) and len(column):
            column = complete_turns(column)
        return column.cast(field.type)
    except pa.ArrowException:
        raise context.fail(
            f"the reader gave `{field.name}` as {column.type}, expected {field.type}"
        ) from None


def sample(context: Context) -> Outcome:
    """Keep the rows that a sampler selects; the others are noted as `not-sampled`."""
    table = read_table(context.inputs["rows"])
    seed = context.step.seed or 0
    numbers = draws(seed, table.column("id").to_pylist())
    plugin = context.plugin()
    before = tuple(numbers)
    positions = plugin.select(table, numbers)
    if tuple(numbers) != before:
        raise PluginError("changed its input: the draws")
    check_selected(positions, table.num_rows)
    selected = set(positions)
    ledger = Ledger(context, table.schema)
    start = 0
    for batch in table.to_batches(max_chunksize=BATCH):
        reasons = [
            None if start + index in selected else "not-sampled" for index in range(batch.num_rows)
        ]
        ledger.add(batch, reasons)
        start += batch.num_rows
    asked = plugin.asked()
    return ledger.outcome(**({} if asked is None else {"asked": asked}))


def score(context: Context) -> Outcome:
    """Give each row a number, in a column `score` beside the others; null where it has none."""
    plugin = context.plugin()
    table = read_table(context.inputs["rows"])
    model = plugin.uses_model
    found: Scores = plugin.score(
        ScoringJob(
            rows=table,
            base=context.base() if model else None,
            quantizer=context.part("quantizer") if model else None,
            seed=context.step.seed or 0,
            work=context.work,
            report=context.report,
        )
    )
    try:
        check_scores(found, table.num_rows)
    except PluginError as fault:
        if isinstance(fault.row, int):
            fault.row = table.column("id")[fault.row].as_py()
        raise
    scores = [value for value in found.values if value is not None]
    scored = table.append_column("score", pa.array(found.values, pa.float64()))
    if found.predictions is not None:
        scored = scored.append_column("prediction", pa.array(found.predictions, pa.string()))
    folder = context.output("rows")
    return Outcome(
        {"rows": Produced(folder, "rows", write_table(folder, scored))},
        facts={
            "rows_in": table.num_rows,
            "rows_out": table.num_rows,
            "scored": len(scores),
            "metrics": dict(found.metrics),
            "tasks": mean_by_task(scored),
        },
        measured=dict(found.measured),
    )


def mean_by_task(scored: pa.Table) -> dict[str, float]:
    """Return the mean score of each task, for data sets that have tasks."""
    means = scored.group_by("task").aggregate([("score", "mean")]).sort_by("task")
    tasks, values = means.column("task").to_pylist(), means.column("score_mean").to_pylist()
    pairs = zip(tasks, values, strict=True)
    return {task: mean for task, mean in pairs if task and mean is not None}
