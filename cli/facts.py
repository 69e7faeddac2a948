"""What a step's facts say, in a few words for a table."""

from __future__ import annotations

from typing import Any

from ..schema.record import StepResult
from .output import size


def described(kind: str, result: StepResult | None) -> str:
    """Return rows in and out with drops by reason, packs and their fill, or metrics."""
    if result is None:
        return ""
    facts: dict[str, Any] = dict(result.facts)
    if kind == "source":
        return f"{facts['files']} files, {size(facts['bytes'])}"
    if kind == "pack":
        packed = facts["train"]
        fill = f"{packed['packs']:,} packs, {100 * packed['fill']:.1f} % full, "
        return fill + f"{packed['tokens']:,} tokens"
    if kind == "split":
        return f"{facts['rows_out']:,} rows, {facts['held_out']:,} held out"
    if "metrics" in facts:
        return _metrics(facts["metrics"], kind)
    if facts.get("drops"):
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in facts["drops"].items())
        return f"{facts['rows_in']:,} -> {facts['rows_out']:,} rows   {reasons}"
    return f"{facts['rows_out']:,} rows"


def _metrics(metrics: dict[str, float], kind: str) -> str:
    if kind == "runtime" and "eval_loss" in metrics and "eval_loss_before" in metrics:
        before, after = metrics["eval_loss_before"], metrics["eval_loss"]
        return f"validation loss {before:.3f} -> {after:.3f}"
    shown = {name.replace("_", " "): value for name, value in metrics.items() if name != "rows"}
    return ", ".join(f"{name} {value:.3f}" for name, value in shown.items())
