"""Small training jobs, for tests in this process and for scripts in others.

As a script it trains on a miniature base and prints what came out as JSON:
`python jobs.py BASE WORK OUTPUT '{"params": {...}, "die_at": 4}'`.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa

from khichdi.plugins import Progress, TrainingJob, TrainingResult
from khichdi.plugins.builtin.adapter.lora import Lora, LoraParams
from khichdi.plugins.builtin.quantizer.bitsandbytes import BitsAndBytes, BitsAndBytesParams
from khichdi.plugins.builtin.quantizer.none import NoneParams, NoQuantizer
from khichdi.plugins.builtin.runtime.qlora.plugin import Qlora, QloraParams
from khichdi.schema.digest import digest

VOCABULARY = 384
NF4 = BitsAndBytes(BitsAndBytesParams(double_quant=True))
FULL = NoQuantizer(NoneParams(dtype="float32"))


def packs(count: int, capacity: int = 192, seed: int = 0, first: int = 3) -> pa.Table:
    """Return packs of patterned samples: the last third of each repeats its start.

    Their tokens are 57 in number, from `first` on.
    """
    draw = random.Random(seed)
    rows: dict[str, list[Any]] = {"input_ids": [], "labels": [], "lengths": []}
    for _ in range(count):
        ids: list[int] = []
        labels: list[int] = []
        lengths: list[int] = []
        while len(ids) < capacity:
            length = min(draw.randint(9, 45), capacity - len(ids))
            prompt = [draw.randrange(first, first + 57) for _ in range(length - length // 3)]
            answer = prompt[: length // 3]
            ids += prompt + answer
            labels += [-100] * len(prompt) + answer
            lengths.append(length)
        rows["input_ids"].append(ids)
        rows["labels"].append(labels)
        rows["lengths"].append(lengths)
    kind = pa.list_(pa.int32())
    return pa.table({name: pa.array(values, kind) for name, values in rows.items()})


def job(base: Path, work: Path, output: Path, **changes: Any) -> TrainingJob:
    settings: dict[str, Any] = {
        "base": base,
        "base_name": "tiny/mistral",
        "train": packs(6),
        "validation": packs(2, seed=1),
        "quantizer": NF4,
        "adapter": Lora(LoraParams(r=8, dropout=0.05)),
        "seed": 57,
        "work": work,
        "output": output,
    }
    return TrainingJob(**{**settings, **changes})


def train(params: dict[str, Any], the_job: TrainingJob) -> TrainingResult:
    settings: dict[str, Any] = {
        "num_epochs": 2,
        "cpu_threads": 1,
        "gradient_accumulation_steps": 2,
        "neftune_noise_alpha": 5,
        "optimizer": "paged_adamw_32bit",
        "learning_rate": 1e-2,
        "max_grad_norm": 0.5,
        "warmup_steps": 1,
    }
    return Qlora(QloraParams(**{**settings, **params})).train(the_job)


def outcome(result: TrainingResult, output: Path) -> dict[str, Any]:
    """Return what two equal trainings share."""
    files = sorted(path for path in output.iterdir())
    return {
        "files": {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in files},
        "trace": digest("trace", result.trace),
        "metrics": result.metrics,
        "weights": result.weights,
    }


def main() -> None:
    base, work, output = map(Path, sys.argv[1:4])
    options = json.loads(sys.argv[4])

    def report(progress: Progress) -> None:
        if progress.done == options.get("die_at"):
            os.kill(os.getpid(), signal.SIGKILL)

    result = train(options.get("params", {}), job(base, work, output, report=report))
    print(json.dumps(outcome(result, output)))


if __name__ == "__main__":
    main()
