"""What writing down each training step costs, beside the steps themselves.

    python -m benchmarks.tracing [BASE] [PACKS] [TOKENS]

Trains on packs of so many tokens, with the quickstart's base where none is given, and times the
digests of batches and steps and the writing of the trace while it does so. The smaller the model,
the dearer the trace looks.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from khichdi.plugins.builtin.runtime.qlora import batches, trainer
from khichdi.plugins.builtin.runtime.qlora.plugin import Qlora, QloraParams
from khichdi.project.bundled_recipes import open_recipe
from tests.helpers import jobs


class Clock:
    """Adds up the time that functions take."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*given: Any, **named: Any) -> Any:
            start = time.perf_counter()
            try:
                return function(*given, **named)
            finally:
                self.seconds += time.perf_counter() - start

        return timed


def main() -> int:
    given = sys.argv[1:]
    recipe, _ = open_recipe("quickstart", Path.cwd())
    base = Path(given[0]) if given else recipe.parent / "quickstart" / "base"
    packs, tokens = (int(word) for word in [*given[1:], *("24", "1024")[len(given[1:]) :]])
    clock = Clock()
    batches._sha256 = clock.around(batches._sha256)
    batches.digest = clock.around(batches.digest)
    trainer.digest = clock.around(trainer.digest)
    with tempfile.TemporaryDirectory() as scratch:
        work, output = Path(scratch) / "work", Path(scratch) / "output"
        job = jobs.job(
            base, work, output, train=jobs.packs(packs, tokens), validation=jobs.packs(0)
        )
        params = QloraParams(cpu_threads=1, dataloader_num_workers=0, metric_for_best_model=None)
        result = Qlora(params).train(job)
        start = time.perf_counter()
        text = json.dumps(result.trace)
        clock.seconds += time.perf_counter() - start
    steps, seconds = len(result.trace), float(result.measured["seconds"])
    print(f"{steps} steps of {tokens} tokens: {1000 * seconds / steps:.2f} ms each")
    print(f"trace: {1000 * clock.seconds / steps:.3f} ms each, {len(text) / steps:.0f} bytes")
    print(f"share: {100 * clock.seconds / seconds:.3f} %")
    return 0 if clock.seconds < 0.01 * seconds else 1


if __name__ == "__main__":
    raise SystemExit(main())
