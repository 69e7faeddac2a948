"""What the tests of filters and editors share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from khichdi.plugins import FilterInputs
from khichdi.plugins.registry import load_registry
from khichdi.schema.rows import COLUMNS, row_schema

EMPTY: dict[str, Any] = {"string": "", "list": [], "turns": []}
BASE = Path(__file__).parents[4] / "recipes/quickstart/base"


def make_batch(*rows: dict[str, Any]) -> pa.RecordBatch:
    """Return a batch of the full schema from rows that say only what matters."""
    full = [{name: EMPTY[kind] for name, kind in COLUMNS.items()} | row for row in rows]
    return pa.RecordBatch.from_pylist(full, schema=row_schema())


@pytest.fixture(scope="session")
def edit() -> Callable[..., list[dict[str, Any]]]:
    """Return `edit(name, params, *rows, draw=())`: the rows as the editor gives them back."""
    registry = load_registry()
    made: dict[str, Any] = {}

    def edit(name: str, params: dict[str, Any], *rows: Any, draw: Any = ()) -> Any:
        key = f"{name} {params}"
        if key not in made:
            made[key] = registry.create("filter", name, params)
            made[key].begin(FilterInputs(base=BASE))
        batch = make_batch(*rows)
        after = made[key].edit(batch, draw)
        assert after.schema == batch.schema
        return after.to_pylist()

    return edit


@pytest.fixture(scope="session")
def reasons() -> Callable[..., Any]:
    """Return `reasons(name, params, *rows)`: why each row goes, or None."""
    registry = load_registry()

    def reasons(name: str, params: dict[str, Any], *rows: Any) -> Any:
        plugin = registry.create("filter", name, params)
        plugin.begin(FilterInputs(base=BASE))
        return plugin.reasons(make_batch(*rows))

    return reasons
