"""Render rows by the template, tokenize, truncate and pack them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import pyarrow as pa

from ...plugins.kinds import Progress, Rendering
from ...plugins.result_checks import check_renderings
from ...plugins.side_effects import PluginError
from ...plugins.toolkit.tokenization import IGNORE, encode_all, load_tokenizer
from ...schema.errors import KhichdiError, RowError
from ...schema.rows import drop_schema
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
    """Write packs to train on and to validate with, and a log of rows that are not whole."""
    tokenizer = load_tokenizer(context.base())
    outputs: dict[str, Produced] = {}
    facts: dict[str, dict[str, Any]] = {}
    log: list[DropEntry] = []
    for name in ("train", "validation"):
        samples, counts = _Side(context, name, tokenizer, log).samples()
        packs = _pack(context, samples)
        folder = context.output(name)
        outputs[name] = Produced(folder, "packs", write_table(folder, packs))
        facts[name] = counts | _facts(packs, context)
    if facts["train"]["packs"] == 0:
        raise context.fail("no row is left to train on", "see the drops of the filters before it")
    folder = context.output("drops")
    drops = pa.Table.from_pylist([entry._asdict() for entry in log], schema=drop_schema())
    outputs["drops"] = Produced(folder, "drops", write_table(folder, drops))
    sides = facts.values()
    total = {
        "rows_in": sum(side["rows"] for side in sides),
        "rows_out": sum(side["rows_out"] for side in sides),
        "drops": dict(sorted(Counter(entry.reason for entry in log).items())),
    }
    return Outcome(outputs, facts=facts | total)


class DropEntry(NamedTuple):
    """A line of the drop log: a row that was left out, or truncated."""

    id: str
    reason: str
    detail: str


class _Side:
    """The rows of one side of the split: rendered, tokenized, and held to the sequence length.

    Truncated and dropped rows are added to `log`.
    """

    def __init__(self, context: Context, name: str, tokenizer: Any, log: list[DropEntry]) -> None:
        settings = context.step.settings
        self.context = context
        self.tokenizer = tokenizer
        self.template = context.part("template")
        self.table = read_table(context.inputs[name])
        self.overlong = str(settings.get("overlong", "truncate"))
        self.limit = None if _wraps(context) else int(str(settings["sequence_len"]))
        self.log = log
        self.lengths: dict[str, list[int]] = {}

    def samples(self) -> tuple[list[Sample], dict[str, Any]]:
        """Return the samples, and how many rows they came from and how long they were."""
        kept: list[Sample] = []
        done = 0
        before = len(self.log)
        for batch in self.table.to_batches(max_chunksize=BATCH):
            kept += self._batch(batch)
            done += batch.num_rows
            self.context.report(Progress(done, self.table.num_rows, unit="rows"))
        reasons = Counter(entry.reason for entry in self.log[before:])
        return kept, {
            "rows": done,
            "rows_out": len({row for row, _, _ in kept}),
            "samples": len(kept),
            "truncated": reasons["truncated"],
            "left_out": reasons.total() - reasons["truncated"],
            "token_lengths": {name: _spread(found) for name, found in sorted(self.lengths.items())},
        }

    def _batch(self, batch: pa.RecordBatch) -> Iterator[Sample]:
        rows = batch.to_pylist()
        rendered = [(row, one) for row in rows for one in self._rendered(row)]
        if rows != (before := batch.to_pylist()):
            changed = next(old["id"] for old, new in zip(before, rows, strict=True) if old != new)
            raise _fault(self.context, "changed its input", changed)
        encoded = encode_all([one for _, one in rendered], self.tokenizer)
        for (row, _), (ids, labels) in zip(rendered, encoded, strict=True):
            self.lengths.setdefault(row["source"], []).append(len(ids))
            if self._fits(row["id"], ids, labels):
                yield row["id"], ids[: self.limit], labels[: self.limit]

    def _rendered(self, row: Any) -> list[Rendering]:
        """Return a row as its template renders it; nothing where the recipe lets it be dropped."""
        try:
            return _renderings(self.context, self.template, row, self.tokenizer)
        except RowError as error:
            if getattr(self.template.params, "on_bad_row", "error") != "drop":
                ref = self.context.step.parts["template"]
                words = f"row {row['id']}: {error.message}"
                raise self.context.fail(words, error.hint, ref) from None
            self.log.append(DropEntry(row["id"], error.reason, error.message))
            return []

    def _fits(self, row: str, ids: list[int], labels: list[int]) -> bool:
        """Return whether a sample is trained on; note where it is not, or not whole."""
        long = self.limit is not None and len(ids) > self.limit
        if long and self.overlong == "error":
            raise self.context.fail(
                f"row {row}: {len(ids):,} tokens, and `sequence_len` is {self.limit:,}",
                "raise sequence_len, filter long rows, or set `overlong: drop` or `truncate`",
            )
        detail = f"{len(ids):,} tokens, sequence_len {self.limit:,}" if long else ""
        if long and self.overlong == "drop":
            self.log.append(DropEntry(row, "too-long", detail))
            return False
        if not any(label != IGNORE for label in labels[1 : self.limit]):
            words = detail or "no token of it is counted by the loss"
            self.log.append(DropEntry(row, "no-answer", words))
            return False
        if long:
            self.log.append(DropEntry(row, "truncated", detail))
        return True


def _spread(lengths: list[int]) -> dict[str, int]:
    """Return quantiles of lengths, by the nearest rank."""
    ordered = sorted(lengths)
    ranks = {f"p{share}": ordered[-(-len(ordered) * share // 100) - 1] for share in (50, 90, 99)}
    return {**ranks, "max": ordered[-1]}


def _renderings(context: Context, template: Any, row: Any, tokenizer: Any) -> list[Rendering]:
    """Return a row as its template renders it; whatever goes wrong names the row."""
    name = row["id"]
    try:
        renderings: list[Rendering] = template.renderings(row, tokenizer)
        check_renderings(renderings, name)
    except Exception as error:
        if isinstance(error, KhichdiError) and not isinstance(error, PluginError):
            raise
        words = (
            error.message if isinstance(error, PluginError) else f"{type(error).__name__}: {error}"
        )
        raise _fault(context, words, name) from error
    return renderings


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

    For training, a pack is one sample, with the ids of all rows that have a token in it. Packs
    without a trained token are left out.
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
