"""One step of a plan over tables made in the test: no recipe, no store."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from khichdi.plugins.registry import load_registry
from khichdi.runtime.steps import implementation
from khichdi.runtime.steps.context import Context, Outcome
from khichdi.runtime.tables import read_table, write_table
from khichdi.schema.plan import PlanStep, PluginRef
from khichdi.schema.rows import row_schema

REGISTRY = load_registry()


def rows(source: str, texts: list[str] | int, **columns: Any) -> pa.Table:
    """Return rows of a data set; a column is one value for all rows, or a list of them."""
    inputs = texts if isinstance(texts, list) else [f"{source} {n}" for n in range(texts)]
    count = len(inputs)
    given: dict[str, Any] = {
        "id": [f"{source}/f.jsonl#{n}" for n in range(count)],
        "source": source,
        "input": inputs,
        **columns,
    }
    arrays = []
    for field in row_schema():
        value = given.get(field.name, "" if field.type == pa.string() else [])
        if isinstance(value, pa.Array):
            arrays.append(value)
        elif isinstance(value, list) and (value or field.name in given):
            arrays.append(pa.array(value, field.type))
        else:
            arrays.append(pa.repeat(pa.scalar(value, field.type), count))
    return pa.Table.from_arrays(arrays, schema=row_schema())


class Bench:
    """A folder to run steps in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.number = 0

    def put(self, table: pa.Table) -> Path:
        """Write a table as an input."""
        folder = self._new()
        write_table(folder, table)
        return folder

    def run(
        self,
        kind: str,
        inputs: Mapping[str, Path],
        plugin: str | None = None,
        params: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
        seed: int = 57,
    ) -> Outcome:
        ref = PluginRef(kind=kind, name=plugin or kind, version=1, params=dict(params or {}))
        step = PlanStep(
            name=kind,
            kind=kind,
            plugin=ref,
            settings=dict(settings or {}),
            inputs={role: f"{role}#rows" for role in inputs},
            seed=seed,
            key="sha256:" + "0" * 64,
        )
        context = Context(
            step=step,
            inputs=dict(inputs),
            staging=self._new(),
            work=self._new(),
            origin=None,
            registry=REGISTRY,
            report=lambda _: None,
        )
        return implementation(kind)(context)

    def _new(self) -> Path:
        self.number += 1
        folder = self.folder / str(self.number)
        folder.mkdir()
        return folder


def table(outcome: Outcome, name: str = "rows") -> pa.Table:
    return read_table(outcome.outputs[name].folder)
