"""Real evaluation sets in the layouts that the harness's tasks read, a few documents each."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def lines(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8")


def write_mmlu(data: Path, folder: Path, subjects: Iterable[str], count: int) -> None:
    """Write subjects of MMLU as `<subject>/<split>.jsonl`."""
    for subject in subjects:
        for split in ("dev", "test"):
            with (data / "mmlu" / split / f"{subject}_{split}.csv").open(encoding="utf-8") as file:
                found = list(csv.DictReader(file))[:count]
            rows = [
                {
                    "question": row["question"],
                    "choices": [row[f"choice{n}"] for n in range(4)],
                    "answer": int(row["answer"]),
                }
                for row in found
            ]
            lines(folder / subject / f"{split}.jsonl", rows)


def write_gsm8k(data: Path, folder: Path, count: int) -> None:
    """Write GSM8K as `<split>.jsonl`."""
    for split in ("train", "test"):
        text = (data / "gsm8k" / f"{split}.jsonl").read_text(encoding="utf-8")
        lines(folder / f"{split}.jsonl", map(json.loads, text.splitlines()[:count]))


def write_truthfulqa(data: Path, folder: Path, count: int) -> None:
    """Write TruthfulQA's multiple choice as `validation.jsonl`."""
    found = json.loads((data / "truthfulqa" / "mc_task.json").read_text(encoding="utf-8"))
    rows = []
    for one in found[:count]:
        row = {"question": one["question"]}
        for name in ("mc1_targets", "mc2_targets"):
            ordered = sorted(one[name].items(), key=lambda pair: -pair[1])
            choices, labels = zip(*ordered, strict=True)
            row[name] = {"choices": list(choices), "labels": list(labels)}
        rows.append(row)
    lines(folder / "validation.jsonl", rows)
