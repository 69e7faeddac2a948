"""Write the data set card of a run: composition, licenses, drops by reason, example rows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ...schema.plan import Plan
from ...schema.printable import printable
from ...schema.record import Record
from ..store.store import Store
from ..tables import read_table
from .markdown import inline, markdown_table, origin

EXAMPLES = 2
"""Rows shown of each data set: those of the smallest ids, so that the card is the same again."""
COMPOSITION = [
    "data set", "from (claimed)", "license (declared)", "read", "sampled", "training", "validation"
]  # fmt: skip
QUANTILES = ("p50", "p90", "p99", "max")
CUT = 600
"""Characters of a field that an example shows."""


def card(plan: Plan, record: Record, store: Store) -> str:
    """Return the card as Markdown, with the metadata block that the Hugging Face hub reads."""
    done = {step.name: step.result for step in record.steps}
    train, held = (
        read_table(store.folder(done["split"].outputs[side])) for side in ("train", "validation")
    )
    rows = pa.concat_tables([train, held])
    lines = [*_metadata(record, rows), f"# {inline(record.recipe)}", ""]
    lines += [
        f"{train.num_rows:,} rows to train on and {held.num_rows:,} for validation, "
        f"made by a recipe whose hash is `{record.recipe_hash}`.",
        "The same recipe, with its lock, makes the same rows again.",
        "",
        "## Composition",
        "",
    ]
    lines += markdown_table(
        COMPOSITION,
        list(_composition(plan, done, train, held)),
    )
    lines += ["", "## What was left out, and why", ""]
    lines += markdown_table(["step", "rows in", "rows out", "reasons"], list(_drops(record)))
    if "pack" in done:
        lines += ["", "## Length in tokens (claimed)", ""]
        lines += markdown_table(
            ["data set", "side", *QUANTILES], list(_lengths(done["pack"].facts))
        )
    lines += ["", "## Examples", *_examples(rows)]
    return printable("\n".join(lines)).rstrip() + "\n"


def _metadata(record: Record, rows: pa.Table) -> list[str]:
    licenses = sorted({text for text in rows.column("license").unique().to_pylist() if text})
    known = [f"- {json.dumps(text)}" for text in licenses]
    return [
        "---",
        f"pretty_name: {json.dumps(record.recipe)}",
        *(["license:", *known] if known else ["license: unknown"]),
        "size_categories:",
        f"- {_size(rows.num_rows)}",
        "tags:",
        "- khichdi",
        "---",
        "",
    ]


def _size(rows: int) -> str:
    """Return the hub's word for a number of rows."""
    steps = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
    names = ("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M")
    return next((name for step, name in zip(steps, names, strict=True) if rows < step), "n>10M")


def _composition(
    plan: Plan, done: dict[str, Any], train: pa.Table, held: pa.Table
) -> Iterator[list[str]]:
    for step in plan.steps:
        if step.kind != "reader" or not step.name.startswith("data/"):
            continue
        name = str(step.settings["data_set"])
        source = plan.step(f"data/{name}/source")
        counts = [
            done[f"data/{name}/read"].facts["rows_out"],
            done[f"data/{name}/sample"].facts["rows_out"],
            *(table.column("source").to_pylist().count(name) for table in (train, held)),
        ]
        license_ = str(step.settings.get("license") or "as each row says")
        yield [name, origin(source), license_, *(f"{count:,}" for count in counts)]


def _drops(record: Record) -> Iterator[list[str]]:
    for step in record.steps:
        facts: Any = step.result.facts
        if facts.get("drops"):
            reasons = ", ".join(f"{reason} {count:,}" for reason, count in facts["drops"].items())
            yield [step.name, f"{facts['rows_in']:,}", f"{facts['rows_out']:,}", reasons]


def _lengths(facts: Any) -> Iterator[list[str]]:
    """Yield quantiles of the lengths of samples, before any is truncated."""
    for side in ("train", "validation"):
        for name, spread in facts[side].get("token_lengths", {}).items():
            yield [name, side, *(f"{spread[word]:,}" for word in QUANTILES)]


def _examples(rows: pa.Table) -> Iterator[str]:
    ordered = rows.sort_by("id")
    for name in sorted(set(rows.column("source").to_pylist())):
        mine = ordered.filter(pc.equal(ordered.column("source"), name))
        yield from ["", f"### {name}", ""]
        for row in mine.slice(0, EXAMPLES).to_pylist():
            yield f"`{inline(row['id'])}`"
            for field in ("instruction", "input", "output"):
                if row[field]:
                    text = row[field] if len(row[field]) <= CUT else row[field][:CUT] + " …"
                    quoted = "\n".join(f"> {inline(line)}" for line in text.splitlines())
                    yield f"\n*{field}*\n\n{quoted}"
            yield ""
