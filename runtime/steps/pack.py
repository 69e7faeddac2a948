"""Render rows by the template, tokenize, truncate and pack them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa

from ...plugins.kinds import Progress, Segment
from ...plugins.result_checks import check_segments
from ...plugins.side_effects import PluginError
from ...plugins.toolkit.tokenization import encode_all, load_tokenizer
from ...schema.errors import KhichdiError
from ..packing import pack
from ..tables import BATCH, read_table, write_table
from .context import Context, Outcome, Produced

Sample = tuple[str, list[int], list[int]]
"""A row's id, its tokens, and its labels: -100 where the loss does not count."""


def pack_schema() -> pa.Schema:
    """Return the schema of packs: one pack a row, its samples one after the other."""
    tokens = pa.list_(pa.int32())
    return pa.schema(
        [
            pa.field("ids", pa.list_(pa.string())),
            pa.field("input_ids", tokens),
            pa.field("labels", tokens),
            pa.field("lengths", tokens),
        ]
    )


def pack_rows(context: Context) -> Outcome:
    """Write the packs to train on and those to validate with."""
    tokenizer = load_tokenizer(context.base())
    outputs, facts = {}, {}
    for name in ("train", "validation"):
        samples, counts = _encode_all(context, name, tokenizer)
        packs = _pack(context, samples)
        folder = context.output(name)
        outputs[name] = Produced(folder, "packs", write_table(folder, packs))
        facts[name] = counts | _facts(packs, context)
    if facts["train"]["packs"] == 0:
        raise context.fail("no row is left to train on", "see the drops of the filters before it")
    return Outcome(outputs, facts=facts)


def _encode_all(context: Context, name: str, tokenizer: Any) -> tuple[list[Sample], dict[str, int]]:
    """Tokenise each row; cut what is too long, and leave out what has no answer after the cut."""
    template = context.part("template")
    limit = None if _wraps(context) else int(str(context.step.settings["sequence_len"]))
    samples: list[Sample] = []
    counts = {"rows": 0, "cut": 0, "no-answer": 0}
    table = read_table(context.inputs[name])
    for batch in table.to_batches(max_chunksize=BATCH):
        rows = batch.to_pylist()
        rendered = [_segments(context, template, row, tokenizer) for row in rows]
        if rows != (before := batch.to_pylist()):
            changed = next(old["id"] for old, new in zip(before, rows, strict=True) if old != new)
            raise _fault(context, "changed its input", changed)
        encoded = encode_all(rendered, tokenizer)
        for row, (ids, labels) in zip(rows, encoded, strict=True):
            counts["cut"] += limit is not None and len(ids) > limit
            if any(label != -100 for label in labels[1:limit]):
                samples.append((row["id"], ids[:limit], labels[:limit]))
            else:
                counts["no-answer"] += 1
        counts["rows"] += len(rows)
        context.report(Progress(counts["rows"], table.num_rows, unit="rows"))
    return samples, counts


def _segments(context: Context, template: Any, row: Any, tokenizer: Any) -> list[Segment]:
    """Return a row as its template renders it; whatever goes wrong names the row."""
    name = row["id"]
    try:
        segments: list[Segment] = template.segments(row, tokenizer)
        check_segments(segments, name)
    except Exception as error:
        if isinstance(error, KhichdiError) and not isinstance(error, PluginError):
            raise
        words = (
            error.message if isinstance(error, PluginError) else f"{type(error).__name__}: {error}"
        )
        raise _fault(context, words, name) from error
    return segments


def _fault(context: Context, message: str, row: str) -> PluginError:
    fault = PluginError(message, row=row)
    fault.plugin = context.step.parts["template"]
    return fault


def _wraps(context: Context) -> bool:
    settings = context.step.settings
    return bool(settings["sample_packing"]) and settings.get("packing_strategy") == "wrapped"


def _pack(context: Context, samples: list[Sample]) -> pa.Table:
    limit = int(str(context.step.settings["sequence_len"]))
    if _wraps(context):
        return pa.Table.from_pylist(list(wrapped(samples, limit)), schema=pack_schema())
    if context.step.settings["sample_packing"]:
        groups = pack([len(ids) for _, ids, _ in samples], limit)
    else:
        groups = [[index] for index in range(len(samples))]
    return packed_table(samples, groups)


def packed_table(samples: list[Sample], groups: list[list[int]]) -> pa.Table:
    """Return packs of whole samples, given by their positions."""
    columns: dict[str, list[Any]] = {"ids": [], "input_ids": [], "labels": [], "lengths": []}
    for group in groups:
        members = [samples[index] for index in group]
        columns["ids"].append([row_id for row_id, _, _ in members])
        columns["input_ids"].append([token for _, ids, _ in members for token in ids])
        columns["labels"].append([label for _, _, labels in members for label in labels])
        columns["lengths"].append([len(ids) for _, ids, _ in members])
    return pa.table(columns, schema=pack_schema())


def wrapped(samples: Iterable[Sample], size: int) -> Iterator[dict[str, Any]]:
    """Yield packs of `size` tokens, cut from all samples one after the other; the last is shorter.

    To whoever trains a pack is one sample, with the ids of all rows that have a token in it. Packs
    in which nothing is learnt are left out.
    """
    ids: list[str] = []
    tokens: list[int] = []
    labels: list[int] = []
    for row_id, more_tokens, more_labels in (*samples, ("", [], [])):
        done = 0
        while len(tokens) + len(more_tokens) - done >= size or (not more_tokens and tokens):
            end = done + size - len(tokens)
            if done < len(more_tokens):
                ids.append(row_id)
            tokens += more_tokens[done:end]
            labels += more_labels[done:end]
            if any(label != -100 for label in labels[1:]):
                yield {"ids": ids, "input_ids": tokens, "labels": labels, "lengths": [len(tokens)]}
            ids, tokens, labels, done = [], [], [], end
        if done < len(more_tokens):
            ids.append(row_id)
            tokens += more_tokens[done:]
            labels += more_labels[done:]


def _facts(packs: pa.Table, context: Context) -> dict[str, Any]:
    tokens = sum(len(ids) for ids in packs.column("input_ids").to_pylist())
    answers = sum(
        label != -100 for labels in packs.column("labels").to_pylist() for label in labels
    )
    capacity = packs.num_rows * int(str(context.step.settings["sequence_len"]))
    return {
        "packs": packs.num_rows,
        "tokens": tokens,
        "response_tokens": answers,
        "fill": round(tokens / capacity, 6) if capacity else 0.0,
    }
