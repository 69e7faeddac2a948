"""Account for rows without executing anything: what a step took in came out, or was dropped.

Filters, samplers and scorers pass rows on under their ids; a mixture puts data sets one after the
other; a split divides its rows in two. So no row can be invented, hidden, or be in training and
validation at once, and only steps that edit rows may change what is in one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ...schema.audit import Finding
from ...schema.record import RecordedStep
from .audited_run import Claim
from .claimed_tables import input_table, inputs_of, output_table
from .compare import table_difference

if TYPE_CHECKING:
    import pyarrow as pa

OUTPUTS = {
    "filter": ("rows", "drops"),
    "sampler": ("rows", "drops"),
    "scorer": ("rows",),
    "mixture": ("rows",),
    "split": ("train", "validation"),
}
"""The outputs of a kind of step that together have each of its rows once."""


COMPARED = 1 << 31
"""From this many bytes on only ids are compared: Arrow's texts have offsets of 32 bits."""


def row_findings(claim: Claim, step: RecordedStep) -> Iterator[Finding]:
    """Yield the first row of a step that was not there before it, or is nowhere after it."""
    if step.kind not in OUTPUTS:
        return
    roles = sorted(inputs_of(claim, step)) if step.kind == "mixture" else ["rows"]
    before = [input_table(claim, step, role) for role in roles]
    after = [output_table(claim, step, name) for name in OUTPUTS[step.kind]]
    came = [table for table in before if table is not None]
    left = [table for table in after if table is not None]
    if not roles or len(came) < len(before) or len(left) < len(after):
        return  # not all of them are here
    claimed, due = (_ids(tables) for tables in (left, came))
    for row in (claimed - due) + (due - claimed):
        yield Finding(
            step=step.name,
            at=f"row {row}, times it is there",
            claimed=claimed[row],
            derived=due[row],
        )
        return
    edits = step.kind == "filter" and "edited" in step.result.facts
    small = sum(table.nbytes for table in came) < COMPARED
    if small and not edits and max(due.values(), default=0) == 1:
        yield from _changed(step, came, left)


def _ids(tables: Sequence[pa.Table]) -> Counter[str]:
    return Counter(row for table in tables for row in table.column("id").to_pylist())


def _changed(
    step: RecordedStep, before: Sequence[pa.Table], after: Sequence[pa.Table]
) -> Iterator[Finding]:
    """Yield the first row that is another than it was before the step."""
    import pyarrow as pa
    import pyarrow.compute as pc

    own = {"score"} if step.kind == "scorer" else set()  # what the step itself writes
    names = [
        name
        for name in before[0].column_names
        if name not in own and all(name in table.column_names for table in before)
    ]
    known = pa.concat_tables([table.select(names) for table in before])
    for output, rows in zip(OUTPUTS[step.kind], after, strict=True):
        if output == "drops":
            continue  # only ids, with reasons
        shared = [name for name in names if name in rows.column_names]
        positions = pc.index_in(rows.column("id"), known.column("id").combine_chunks())
        found = table_difference(rows.select(shared), known.select(shared).take(positions))
        if found is not None:
            at, claimed, derived = found
            yield Finding(step=step.name, output=output, at=at, claimed=claimed, derived=derived)
            return
