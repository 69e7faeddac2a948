"""Write the text of a first recipe, with a comment beside each choice."""

from __future__ import annotations

import glob
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from ...compiler.importers.recipe_draft import Draft
from ...plugins.registry import Registry
from .base_choice import Base
from .data_file import Counts, DataFile, data_set_name
from .data_layout import CHAT, COMPLETION, INSTRUCT, Layout

LENGTHS = (256, 512, 1024, 2048, 4096, 8192)
"""Values of `sequence_len` to choose from; above 2,048 only where many rows need it."""
USUAL = 2048
ROOM = 1.15
"""What a guess at tokens is multiplied with, so that rows fit."""
FEWEST, MOST = 20, 500
"""Rows from which on a validation set is split off, and the largest one."""
LONGEST = 600
"""Characters about the data on top of a recipe."""
MANY = 10_000
"""Rows for which one epoch is enough."""

STARTERS: dict[str, tuple[DataFile, str]] = {
    "chat": (
        DataFile("chats.jsonl", Layout(CHAT, "messages",
                 {"use": "conversations", "field": "messages"}, {"use": "alpaca"})),
        '{"messages": [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}]}',
    ),
    "instruct": (
        DataFile("instructions.jsonl", Layout(INSTRUCT, "`instruction`, `input` and `output`",
                 {"use": "alpaca"}, {"use": "alpaca"})),
        '{"instruction": "…", "input": "… or left out", "output": "…"}',
    ),
    "completion": (
        DataFile("texts.jsonl", Layout(COMPLETION, "plain text in `text`",
                 {"use": "jsonl", "columns": {"output": "text"}}, {"use": "text"})),
        '{"text": "…"}',
    ),
    "curate": (
        DataFile("rows.jsonl", Layout(INSTRUCT, "`instruction`, `input` and `output`",
                 {"use": "alpaca"}, {"use": "alpaca"})),
        '{"instruction": "…", "input": "… or left out", "output": "…"}',
    ),
}  # fmt: skip
"""Starters by name: a data file that is still to be written, and what a line of it looks like."""


def training_recipe(name: str, data: DataFile, base: Base, registry: Registry) -> str:
    """Return a recipe that trains an adapter on a file, in canonical layout."""
    draft = _draft(name)
    _model(draft, base)
    place = _data(draft, data)
    if data.counts:
        mean = max(1, sum(data.counts.tokens) // data.counts.rows)
        expected = {"rows": data.counts.rows, "tokens_per_row": mean}
        draft.set((*place, "expect"), expected, "for `recipe plan`; tokens by words")
    _validation(draft, data.counts)
    _train(draft, data, base)
    head = [*_head(data), f"recipe plan {name}.yaml: what it costs; recipe run {name}.yaml: train."]
    return draft.text(name, head, registry)


def curation_recipe(name: str, data: DataFile, registry: Registry) -> str:
    """Return a recipe that ends with its data, in canonical layout."""
    draft = _draft(name)
    place = _data(draft, data)
    chat = data.layout.kind == CHAT
    fields = ["instruction", "output"] if chat else ["instruction", "input", "output"]
    draft.set(
        (*place, "filters"),
        [
            {"use": "min-words", "fields": ["output"], "at_least": 1},
            {"use": "max-words", "fields": fields, "below": 2000},
        ],
        "in order; `recipe plugins filter` lists all of them",
    )
    if not chat:  # the fields of a chat are its first question and answer alone
        draft.set(("mixture", "filters"), [{"use": "exact-duplicates", "by": fields}])
    _validation(draft, data.counts)
    head = [
        *_head(data),
        f"It trains nothing. recipe run {name}.yaml, then recipe rows latest --to rows.jsonl, "
        "recipe stats latest.",
    ]
    return draft.text(name, head, registry)


def _draft(name: str) -> Draft:
    draft = Draft()
    draft.set(("recipe",), 1)
    draft.set(("name",), name)
    draft.set(("seed",), 57)
    return draft


def _head(data: DataFile) -> list[str]:
    example = next((line for made, line in STARTERS.values() if made == data), None)
    if example is None:
        text = data.summary()
        return [f"{text}." if len(text) <= LONGEST else f"{text[:LONGEST]}…"]
    return [f"Write {data.file} beside this recipe, a JSON object on each line:", example]


def _model(draft: Draft, base: Base) -> None:
    draft.set(("model", "base"), base.source)
    if base.license:
        draft.set(("model", "license"), base.license)
    quantization = {"use": "bitsandbytes", "bits": 4, "quant_type": "nf4", "double_quant": True}
    draft.set(("model", "quantization"), quantization, "QLoRA")
    adapter = {"use": "lora", "r": 16, "alpha": 32, "target_modules": "all-linear"}
    draft.set(("model", "adapter"), adapter, "r: the adapter's size")


def _data(draft: Draft, data: DataFile) -> tuple[str, str]:
    """Put the data set; return its place."""
    path, place = PurePath(data.file), ("data", data_set_name(data.file))
    source: dict[str, Any] = {"use": "files"}
    if str(path.parent) != ".":
        source["folder"] = path.parent.as_posix()
    draft.set((*place, "source"), source | {"include": [glob.escape(path.name)]})
    draft.set((*place, "read"), data.layout.read, _left_out(data.counts))
    return place


def _left_out(counts: Counts | None) -> str | None:
    """Return a comment on records that the reader leaves out."""
    parts = []
    if counts and counts.unanswered:
        parts.append(f"{counts.unanswered:,} end without an answer")
    if counts and counts.bad:
        parts.append(f"{counts.bad:,} cannot be read")
    return ", ".join(parts) if parts else None


def _validation(draft: Draft, counts: Counts | None) -> None:
    place = ("mixture", "validation")
    if counts is None:
        draft.set(place, {"fraction": 0.05}, "rows to measure on, never trained on")
    elif counts.rows >= FEWEST:
        count = min(MOST, max(2, counts.rows // 10))
        draft.set(place, {"count": count}, f"of {counts.rows:,} rows, to measure on")


def _train(draft: Draft, data: DataFile, base: Base) -> None:
    template, why = _template(data, base)
    length, fits = _sequence_len(data.counts, base.positions)
    epochs = 1 if data.counts and data.counts.rows >= MANY else 3
    draft.set(("train", "use"), "qlora")
    draft.set(("train", "template"), template, why)
    draft.set(("train", "sequence_len"), length, fits)
    draft.set(("train", "micro_batch_size"), 1, "packs at a time; more need more memory")
    steps = _accumulation(data.counts, length)
    each = f"{steps} pack{'s' * (steps != 1)} for each optimizer step"
    draft.set(("train", "gradient_accumulation_steps"), steps, each)
    few = "passes over the rows; fewer where the validation loss rises"
    draft.set(("train", "num_epochs"), epochs, few)
    draft.set(("train", "learning_rate"), 2.0e-4, "usual for LoRA")
    draft.set(("train", "warmup_ratio"), 0.03)
    if data.counts and data.counts.rows < FEWEST:
        none = "too few rows for a validation set: the last weights are kept"
        draft.set(("train", "metric_for_best_model"), None, none)


def _template(data: DataFile, base: Base) -> tuple[Mapping[str, Any], str]:
    """Return the template, and the reason for it."""
    kind = data.layout.kind
    if kind != CHAT:
        why = "each text as it is" if kind == COMPLETION else "how question and answer are written"
        return data.layout.template, why
    tools = data.counts is not None and data.counts.tools
    if base.chats is False:
        more = ", and this one writes no tools" if tools else ""
        return data.layout.template, f"the base has no chat template{more}"
    if base.chats is None:
        return {"use": "chat"}, "the base's chat template; if it has none, {use: alpaca}"
    more = ", which has to write tools" if tools else ""
    return {"use": "chat"}, f"the base's chat template{more}"


def _sequence_len(counts: Counts | None, positions: int | None) -> tuple[int, str]:
    """Return the length of packs, and which rows fit into it."""
    if counts is None:
        return min(USUAL, positions or USUAL), "tokens of a pack; longer rows are truncated"
    longest, most = (int(ROOM * counts.tokens_at(share)) for share in (1.0, 0.99))
    needed = longest if longest <= USUAL else max(most, USUAL)
    length = next((length for length in LENGTHS if length >= needed), LENGTHS[-1])
    length = min(length, positions or length)
    if longest <= length:
        return length, f"tokens; the longest row has about {counts.tokens_at(1.0):,}"
    over = sum(ROOM * tokens > length for tokens in counts.tokens)
    return length, f"tokens; about {over:,} of {counts.rows:,} rows are longer: truncated"


def _accumulation(counts: Counts | None, length: int) -> int:
    """Return packs of a step: up to 16, and about 30 steps in an epoch where there are fewer."""
    packs = sum(min(tokens, length) for tokens in counts.tokens) // length if counts else 480
    return next((size for size in (16, 8, 4, 2) if packs >= 30 * size), 1)
