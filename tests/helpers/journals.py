"""Journals of runs that did not finish."""

from __future__ import annotations

import json
from pathlib import Path


def write_journal(run: Path, step: str, *, failed: bool) -> None:
    """Make the folder of a run that stopped in a step: by a failure, else without a word."""
    run.mkdir(exist_ok=True)
    events = [
        {"event": "start", "at": 1, "recipe": "stopped", "recipe_hash": "x", "started": "now",
         "steps": [{"name": step, "kind": "reader", "plugin": "jsonl"}]},
        {"event": "started", "at": 2, "step": step},
        {"event": "stop", "at": 3, "status": "failed", "message": "no", "hint": None},
    ]  # fmt: skip
    lines = [json.dumps(one) + "\n" for one in events[: 3 if failed else 2]]
    (run / "journal.jsonl").write_text("".join(lines))
