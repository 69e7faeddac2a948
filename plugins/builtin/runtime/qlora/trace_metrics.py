"""The metrics of a training that follow from its trace alone; an audit recomputes them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any


def trace_metrics(trace: list[dict[str, Any]], *, best: bool) -> Iterator[tuple[str, float]]:
    """Yield metrics; `train_loss` is the mean over the response tokens of the last epoch.

    `best` is whether the adapter is that of the step with the lowest validation loss.
    """
    last = [entry for entry in trace if entry["epoch"] == trace[-1]["epoch"]]
    tokens = sum(entry["response_tokens"] for entry in last)
    total = math.fsum(entry["loss"] * entry["response_tokens"] for entry in last)
    yield "train_loss", total / max(1, tokens)
    losses = {entry["step"]: entry["eval_loss"] for entry in trace if "eval_loss" in entry}
    if losses:
        kept = min(losses, key=lambda step: (losses[step], step)) if best else trace[-1]["step"]
        yield "eval_loss", losses[kept]
        yield "best_step", float(kept)
    yield "optimizer_steps", float(len(trace))
    for name, key in (("train_tokens", "tokens"), ("response_tokens", "response_tokens")):
        yield name, float(sum(entry[key] for entry in trace))
