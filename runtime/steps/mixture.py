"""Many data sets to one: put together, ordered, and split into training and held-out rows."""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa

from ...schema.digest import derive_seed, draws
from ...schema.rows import row_schema
from ..tables import TableWriter, batches, read_table, write_table
from .context import Context, Outcome, Produced


def mix(context: Context) -> Outcome:
    """Put the data sets one after the other, in order of their names; scores end here."""
    folder = context.output("rows")
    counts: dict[str, int] = {}
    names = sorted(context.inputs)
    schema = row_schema()
    with TableWriter(folder, schema) as writer:
        for name in names:
            before = writer.rows
            for batch in batches(context.inputs[name]):
                writer.write(batch.select(schema.names))
            counts[name] = writer.rows - before
    facts = {"rows_in": writer.rows, "rows_out": writer.rows, "sources": counts}
    return Outcome({"rows": Produced(folder, "rows", writer.digest())}, facts=facts)


def split(context: Context) -> Outcome:
    """Hold rows out, and put the others in order; both by draws keyed by seed and row id."""
    table = read_table(context.inputs["rows"])
    seed = context.step.seed or 0
    ids = table.column("id").to_pylist()
    held = _held_out(context, ids, seed)
    rest = [index for index in range(len(ids)) if index not in held]
    if context.step.settings["order"] == "shuffle":
        order = draws(derive_seed(seed, "order"), ids)
        rest.sort(key=lambda index: (order[index], ids[index]))
    outputs = {}
    for name, indices in (("train", rest), ("validation", sorted(held))):
        folder = context.output(name)
        rows = table.take(pa.array(indices, pa.int64()))
        outputs[name] = Produced(folder, "rows", write_table(folder, rows))
    facts = {"rows_in": len(ids), "rows_out": len(rest), "held_out": len(held)}
    return Outcome(outputs, facts=facts)


def _held_out(context: Context, ids: list[str], seed: int) -> set[int]:
    wanted: Any = context.step.settings["validation"]
    if wanted is None:
        return set()
    count = wanted["count"] or math.ceil(wanted["fraction"] * len(ids))
    if count >= len(ids):
        raise context.fail(
            f"{count:,} validation rows asked of a mixture of {len(ids):,}",
            "ask for fewer with `mixture.validation`",
        )
    numbers = draws(derive_seed(seed, "validation"), ids)
    return set(sorted(range(len(ids)), key=lambda i: (numbers[i], ids[i]))[:count])
