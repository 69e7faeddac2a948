"""Mix data sets: concatenate, order, and split into training and validation rows."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...schema.digest import derive_seed, draws
from ...schema.rows import row_schema
from ..tables import TableWriter, batches, read_table, write_table
from .context import Context, Outcome, Produced

Positions = Any  # numpy array of int64


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
    wanted = context.step.settings["validation"]
    held = _held_out(context, table, wanted, seed) if wanted else np.zeros(0, np.int64)
    rest = np.setdiff1d(np.arange(table.num_rows), held)
    train = table.take(rest)
    train = train.take(_ordered(train, context.step.settings, derive_seed(seed, "order")))
    outputs, counts = {}, {}
    for name, rows in (("train", train), ("validation", table.take(held))):
        folder = context.output(name)
        outputs[name] = Produced(folder, "rows", write_table(folder, rows))
        counts[name] = Counter(rows.column("source").to_pylist())
    facts: dict[str, Any] = {
        "rows_in": table.num_rows,
        "rows_out": len(rest),
        "held_out": len(held),
        "sources": {
            source: {"train": counts["train"][source], "held_out": counts["validation"][source]}
            for source in sorted(counts["train"] | counts["validation"])
        },
    }
    if wanted:
        facts["asked"] = _count(wanted, table.num_rows)
    return Outcome(outputs, facts=facts)


# ---- order ----------------------------------------------------------------------------------


def _ordered(table: pa.Table, settings: Any, seed: int) -> Positions:
    """Return the positions of rows in the order of the mixture."""
    order, weights = settings["order"], settings.get("weights")
    if order == "by-source":
        return np.arange(table.num_rows)
    ids = table.column("id").to_pylist()
    shuffled = _by_draw(seed, ids)
    if order == "shuffle":
        return shuffled
    if order == "short-first":
        return shuffled[np.argsort(_lengths(table)[shuffled], kind="stable")]
    return _interleaved(table.column("source").to_pylist(), shuffled, weights)


def _by_draw(seed: int, ids: Sequence[str]) -> Positions:
    """Return positions in order of the rows' draws; equal draws in order of ids."""
    by_id = np.array(sorted(range(len(ids)), key=ids.__getitem__), np.int64)
    numbers = np.array(draws(seed, ids), np.uint64)
    return by_id[np.argsort(numbers[by_id], kind="stable")]


def _lengths(table: pa.Table) -> Positions:
    """Return the characters of each row's text; of the whole conversation where there is one."""
    plain = np.zeros(table.num_rows, np.int64)
    for name in ("instruction", "input", "output"):
        plain += pc.utf8_length(table.column(name)).to_numpy()
    turns = table.column("turns").combine_chunks()
    texts = pc.struct_field(pc.list_flatten(turns), "text")
    of_row = pc.list_parent_indices(turns).to_numpy()
    talk = np.zeros(table.num_rows, np.int64)
    np.add.at(talk, of_row, pc.utf8_length(texts).to_numpy(zero_copy_only=False))
    return np.maximum(plain, talk)


def _interleaved(sources: Sequence[str], shuffled: Positions, weights: Any) -> Positions:
    """Return shuffled positions with each data set spread by its weight.

    The rows of a data set are due at equal distances of 1/weight, the first after half a
    distance; all are taken in the order they are due. So in any stretch each data set has its
    share to within a row or so, and one that is used up leaves the others in proportion.
    """
    names = np.array(sources)[shuffled]
    due = np.zeros(len(names))
    for name in sorted(set(sources)):
        own = np.flatnonzero(names == name)
        due[own] = (np.arange(len(own)) + 0.5) / (weights[name] if weights else len(own))
    return shuffled[np.lexsort((names, due))]


# ---- held-out rows --------------------------------------------------------------------------


def _count(wanted: Any, rows: int) -> int:
    return int(wanted["count"] or math.ceil(wanted["fraction"] * rows))


def _held_out(context: Context, table: pa.Table, wanted: Any, seed: int) -> Positions:
    """Return the positions of held-out rows in row order."""
    count = _count(wanted, table.num_rows)
    if count >= table.num_rows:
        raise context.fail(
            f"{count:,} validation rows asked of a mixture of {table.num_rows:,}",
            "ask for fewer with `mixture.validation`",
        )
    seed = derive_seed(seed, "validation")
    fields = wanted.get("group_by")
    if not fields:
        return np.sort(_by_draw(seed, table.column("id").to_pylist())[:count])
    groups = _groups(table, fields)
    chosen: list[int] = []
    names = list(groups)
    for index in _by_draw(seed, names).tolist():
        rows = groups[names[index]]
        # A group that is too large is passed over, and a later one may still fit.
        if len(rows) <= count - len(chosen):
            chosen += rows
    if not chosen:
        fewest = min(map(len, groups.values()))
        raise context.fail(
            f"{count:,} validation rows asked, and rows that belong together by "
            f"{', '.join(fields)} come in groups of at least {fewest:,}",
            "ask for more rows, or group by more fields",
        )
    return np.sort(np.array(chosen, np.int64))


def _groups(table: pa.Table, fields: Sequence[str]) -> dict[str, list[int]]:
    """Return positions grouped by the values of these fields; a row without a value is a group."""
    columns = [_normal(table.column(name)) for name in fields]
    keys = pc.binary_join_element_wise(*columns, "\n").to_pylist()
    groups: dict[str, list[int]] = {}
    ids = table.column("id").to_pylist()
    for position, (key, row) in enumerate(zip(keys, ids, strict=True)):
        groups.setdefault(f"text\n{key}" if key.strip() else f"row\n{row}", []).append(position)
    return groups


def _normal(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return texts in lower case, all between letters, marks and digits made one space."""
    lower = pc.utf8_lower(pc.utf8_normalize(column, form="NFKC"))
    spaced = pc.replace_substring_regex(lower, r"[^\pL\pM\pN]+", " ")
    return pc.utf8_trim_whitespace(spaced)
