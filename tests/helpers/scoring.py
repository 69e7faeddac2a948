"""Small scoring jobs, for tests in this process and for scripts in others.

As a script it scores rows with a miniature base, and dies after some parts where it is told to:
`python scoring.py BASE WORK '{"params": {...}, "die_at": 12}'`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import jobs
import pyarrow as pa

from khichdi.plugins import Progress, Scores, ScoringJob
from khichdi.plugins.builtin.scorer.few_shot import FewShot, FewShotParams
from khichdi.plugins.kinds import ignore_progress
from khichdi.schema.rows import row_schema

PARAMS = {"metric": "rouge-l", "max_new_tokens": 6, "cpu_threads": 1, "batch_size": 4, "shots": 2}


def questions(tasks: dict[str, int]) -> pa.Table:
    """Return rows of tasks whose inputs differ in length."""
    data = []
    for task, count in tasks.items():
        for number in range(count):
            row: dict[str, Any] = {f.name: "" for f in row_schema() if f.type == pa.string()}
            row |= {f.name: [] for f in row_schema() if f.name not in row}
            row |= {
                "id": f"ni/{task}.json#{number}",
                "task": task,
                "instruction": f"Do {task}.",
                "input": f"{number} " + "is the one " * (number % 5),
                "output": f"answer {number}",
                "references": [f"answer {number}", "four"],
            }
            data.append(row)
    return pa.Table.from_pylist(data, schema=row_schema())


def score(base: Path, work: Path, table: pa.Table, **options: Any) -> Scores:
    report = options.pop("report", ignore_progress)
    quantizer = options.pop("quantizer", jobs.FULL)
    work.mkdir(exist_ok=True)
    job = ScoringJob(rows=table, base=base, quantizer=quantizer, seed=57, work=work, report=report)
    return FewShot(FewShotParams(**{**PARAMS, **options})).score(job)


def main() -> None:
    base, work = map(Path, sys.argv[1:3])
    options = json.loads(sys.argv[3])

    def report(progress: Progress) -> None:
        if progress.done >= options.get("die_at", 1 << 30):
            os.kill(os.getpid(), signal.SIGKILL)

    found = score(base, work, questions(options["tasks"]), report=report, **options["params"])
    print(json.dumps([found.values, found.predictions, found.measured]))


if __name__ == "__main__":
    main()
