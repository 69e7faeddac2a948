"""Summarize a step's facts in a few words for a table."""

from __future__ import annotations

from typing import Any

from ..schema.record import StepResult
from .output import size

MUCH = 1
"""Percent of rows, truncated or left out by packing, above which that is a warning."""

FEW = 10
"""Validation rows for each data set, on average, below which one without any is to be expected."""

QUANTILES = ("p50", "p90", "p99", "max")

METRICS = 4
"""Metrics of a step that a line shows."""


def described(kind: str, result: StepResult | None) -> str:
    """Return rows in and out with drops by reason, packs and their fill, or metrics."""
    if result is None:
        return ""
    facts: dict[str, Any] = dict(result.facts)
    if kind in ("source", "exporter"):
        return f"{facts['files']} files, {size(facts['bytes'])}"
    if kind == "tokens":
        return ", ".join(f"{text!r} added" for text in facts["added"]) or "no token added"
    if kind == "pack":
        return _packed(facts)
    if kind == "split":
        return _split(facts)
    if kind == "mixture":
        sources = ", ".join(f"{name} {count:,}" for name, count in facts["sources"].items())
        return f"{facts['rows_out']:,} rows   {sources}"
    if kind == "scorer":
        return _scored(facts)
    if "metrics" in facts:
        return _metrics(facts["metrics"], kind) + _stopped(facts.get("stopped"))
    if facts.get("drops"):
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in facts["drops"].items())
        return f"{facts['rows_in']:,} -> {facts['rows_out']:,} rows   {reasons}{_asked(facts)}"
    return f"{facts['rows_out']:,} rows{_asked(facts)}"


def _packed(facts: dict[str, Any]) -> str:
    """Return packs and tokens, and what was truncated or left out: a warning above 1 %."""
    packed = facts["train"]
    words = f"{packed['packs']:,} packs, {100 * packed['fill']:.1f} % full, "
    words += f"{packed['tokens']:,} tokens"
    drops = facts.get("drops")  # earlier results have none
    if not drops:
        return words
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in drops.items())
    share = 100 * sum(drops.values()) / max(1, facts["rows_in"])
    mark = f"WARNING, {share:.1f} % of rows: " if share > MUCH else ""
    return f"{words}   {mark}{reasons} (recipe show-drops --step pack)"


def token_lengths(facts: dict[str, Any]) -> list[tuple[str, ...]]:
    """Return a table of the lengths of samples in tokens, by side and data set."""
    rows = [
        (side, name, *(f"{spread[word]:,}" for word in QUANTILES))
        for side in ("train", "validation")
        for name, spread in facts.get(side, {}).get("token_lengths", {}).items()
    ]
    return [("tokens of a sample (claimed)", "", *QUANTILES), *rows] if rows else []


def _asked(facts: dict[str, Any]) -> str:
    """Return a remark where there are fewer rows than the recipe asks for."""
    asked = facts.get("asked")
    return "" if asked is None or asked <= facts["rows_out"] else f" ({asked:,} asked for)"


def _split(facts: dict[str, Any]) -> str:
    held = f"{facts['held_out']:,} for validation"
    if facts["held_out"] < facts.get("asked", 0):
        held += f" ({facts['asked']:,} asked for; rows that belong together stay together)"
    sources = [
        f"{name} {count['train']:,}" + (f" + {count['held_out']:,}" if count["held_out"] else "")
        for name, count in facts.get("sources", {}).items()  # earlier results have none
    ]
    rows = f"{facts['rows_out']:,} rows, {held}   {', '.join(sources)}".rstrip()
    return f"{rows}{_doubt(facts)}"


def _doubt(facts: dict[str, Any]) -> str:
    """Return a warning where the split is hardly what was meant: most rows, or none of a set."""
    if not facts["held_out"]:
        return ""
    if facts["held_out"] > facts["rows_out"]:
        return "   WARNING: more rows for validation than to train on"
    counts = facts.get("sources", {})
    none = [name for name, count in counts.items() if not count["held_out"]]
    # A few rows of many cannot be of every data set: that is no surprise.
    if not none or facts["held_out"] < FEW * len(counts):
        return ""
    return f"   WARNING: no row for validation of {', '.join(none)}"


def _scored(facts: dict[str, Any]) -> str:
    """Return how many rows were scored, and the scorer's numbers; counts without decimals."""
    shown = [
        f"{name.replace('_', ' ')} " + (f"{value:,.0f}" if value % 1 == 0 else f"{value:.3f}")
        for name, value in facts["metrics"].items()
    ]
    few = facts["scored"] < facts["rows_in"]
    rows = f"{facts['scored']:,} of {facts['rows_in']:,}" if few else f"{facts['rows_in']:,}"
    return f"{rows} rows scored   {', '.join(shown)}"


def _stopped(stopped: dict[str, Any] | None) -> str:
    """Return why a training ended early, and how to repeat it bit-identically."""
    if stopped is None:
        return ""
    step = stopped["step"]
    words = f"   ended by {stopped['by']} after step {step:,} of {stopped['of']:,}"
    again = {name: value for name, value in stopped.get("again", {}).items() if value is not None}
    if again:
        words += f" (the same again: {', '.join(f'train.{k}={v}' for k, v in again.items())})"
    return words


def _metrics(metrics: dict[str, float], kind: str) -> str:
    if kind == "runtime" and "eval_loss" in metrics and "eval_loss_before" in metrics:
        before, after = metrics["eval_loss_before"], metrics["eval_loss"]
        return f"validation loss {before:.3f} -> {after:.3f}"
    shown = {name.replace("_", " "): value for name, value in metrics.items() if name != "rows"}
    words = [f"{name} {value:.3f}" for name, value in shown.items()]
    more = len(words) - METRICS
    return ", ".join(words[:METRICS]) + (f", and {more} more" if more > 0 else "")
