"""Trainings of the miniature base, and what came out of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jobs


class Once:
    """Trainings of the miniature, each in folders of its own."""

    def __init__(self, base: Path, root: Path) -> None:
        self.base, self.root, self.count = base, root, 0

    def __call__(self, params: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
        self.count += 1
        folder = self.root / str(self.count)
        output = folder / "output"
        work = changes.pop("work", folder / "work")
        result = jobs.train(params or {}, jobs.job(self.base, work, output, **changes))
        return jobs.outcome(result, output) | {"result": result, "output": output, "work": work}


def same(one: dict[str, Any], two: dict[str, Any]) -> bool:
    keys = ("files", "trace", "metrics", "weights")
    return all(one[key] == two[key] for key in keys)
