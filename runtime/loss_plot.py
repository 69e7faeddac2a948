"""Plot the loss curve of a run."""

from __future__ import annotations

import json
from pathlib import Path


def loss_picture(trace: Path, target: Path) -> bool:
    """Draw the loss over optimizer steps to a PNG; return False where matplotlib is not there."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        return False
    entries = json.loads(trace.read_text(encoding="utf-8"))
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot([e["step"] for e in entries], [e["loss"] for e in entries], label="training")
    held = [(e["step"], e["eval_loss"]) for e in entries if e.get("eval_loss") is not None]
    if held:
        axes.plot(*zip(*held, strict=True), marker="o", label="validation")
        axes.legend()
    axes.set_xlabel("optimizer step")
    axes.set_ylabel("loss per response token")
    figure.savefig(target, dpi=120, metadata={"Software": None})
    return True
