"""Trace a row: its source and every step it went through, from plan, record and store.

Nothing is traced while a run works. Every step keeps the rows it kept and a ledger of those it
dropped, so a row's way is found afterwards by its id.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ..schema.errors import InputError, StoreError
from ..schema.plan import Plan, PlanStep
from ..schema.record import Record, RecordedStep
from .store.store import Store
from .tables import read_table

Row = dict[str, Any]


@dataclass(frozen=True)
class Event:
    """The action of a step on a row.

    Attributes:
        step: the step's name.
        plugin: the plugin that did it.
        did: `read`, `kept`, `edited`, `scored`, `dropped`, `held out`, `ordered`, `packed` or
            `left out`.
        reason: for a drop, the slug that the record counts.
        detail: in words: what was seen, a score, a place.
        changes: for an edit, field -> (before, after).
    """

    step: str
    plugin: str
    did: str
    reason: str = ""
    detail: str = ""
    changes: dict[str, tuple[Any, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Origin:
    """The record of a source that a row was read from."""

    data_set: str
    use: str
    revision: str | None
    file: str
    number: int
    sha256: str | None


@dataclass(frozen=True)
class DroppedRow:
    """A dropped row: why, and the row as the step saw it (None for a record that was not a row)."""

    id: str
    reason: str
    detail: str
    row: Row | None


class Lineage:
    """A finished run, asked about rows."""

    def __init__(self, plan: Plan, record: Record, store: Store) -> None:
        self.plan = plan
        self.store = store
        self.done = {step.name: step for step in record.steps}

    # ---- one row ----------------------------------------------------------------------------

    def find(self, text: str) -> str:
        """Return the one row id that is, or ends with, the text.

        Raises:
            InputError: none is, or several are.
        """
        if not text:
            raise InputError("an empty id is of no row", hint="an id is DATA-SET/FILE#NUMBER")
        found = [row_id for step in self._readers() for row_id in self._ids(step, text)]
        exact = [row_id for row_id in found if row_id == text]
        if len(exact) == 1 or len(found) == 1:
            return (exact or found)[0]
        if found:
            shown = ", ".join(found[:5]) + (" ..." if len(found) > 5 else "")
            raise InputError(f"{len(found)} rows end with `{text}`: {shown}")
        data_sets = ", ".join(step.settings["data_set"] for step in self._readers())  # type: ignore[misc]
        raise InputError(
            f"no row of this run has the id `{text}`",
            hint=f"an id is DATA-SET/FILE#NUMBER, numbers from 0; data sets: {data_sets}",
        )

    def origin(self, row_id: str) -> Origin:
        """Return the data set, revision, file and record number of a row."""
        reader = self._reader_of(row_id)
        source = self.plan.step(next(name for _, name, _ in reader.sources()))
        path, _, number = row_id.split("/", 1)[1].rpartition("#")
        material = source.material
        files = {file.path: file.sha256 for file in material.files} if material else {}
        return Origin(
            data_set=str(reader.settings["data_set"]),
            use=source.plugin.name,
            revision=material.revision if material else None,
            file=path,
            number=int(number),
            sha256=files.get(path),
        )

    def events(self, row_id: str) -> Iterator[Event]:
        """Yield what each step did with a row, in order, up to where it was dropped or packed."""
        step: PlanStep | None = self._reader_of(row_id)
        before: Row | None = None
        while step is not None:
            event, after = self._event(step, row_id, before)
            yield event
            if after is None:
                return
            step, before = self._next(step, "rows"), after
            if step is not None and step.kind == "split":
                yield from self._after_split(step, row_id)
                return

    def row(self, row_id: str) -> Row | None:
        """Return a row as it was read, or None for a record that never became one."""
        return self._row(self._reader_of(row_id).name, "rows", row_id)

    # ---- drops ------------------------------------------------------------------------------

    def steps_with_drops(self) -> list[RecordedStep]:
        """Return every step that keeps a ledger, in the plan's order."""
        return [step for step in self.done.values() if "drops" in step.result.outputs]

    def drops(self, name: str, reason: str | None = None) -> Iterator[DroppedRow]:
        """Yield the rows that a step dropped, in order, as the step saw them."""
        ledger = self._table(name, "drops")
        if reason is not None:
            ledger = ledger.filter(pc.equal(ledger.column("reason"), reason))
        rows = self._seen(self.plan.step(name))
        for batch in ledger.to_batches(max_chunksize=256):
            at = self._rows(rows, batch.column("id")) if rows is not None else {}
            for entry in batch.to_pylist():
                yield DroppedRow(**entry, row=at.get(entry["id"]))

    # ---- inside -----------------------------------------------------------------------------

    def _seen(self, step: PlanStep) -> pa.Table | None:
        """Return the rows that a step was given; None for a reader, which made them."""
        given = [
            place for role, *place in step.sources() if role in ("rows", "train", "validation")
        ]
        if step.kind == "reader" or not given:
            return None
        return pa.concat_tables([self._table(*place) for place in given])

    def _event(self, step: PlanStep, row_id: str, before: Row | None) -> tuple[Event, Row | None]:
        """Return what a step did, and the row after it: None when it was dropped."""
        after = self._row(step.name, "rows", row_id)
        plugin = step.plugin.name
        if after is None:
            ledger = self._table(step.name, "drops")
            entry = self._rows(ledger, pa.array([row_id]))[row_id]
            return Event(step.name, plugin, "dropped", entry["reason"], entry["detail"]), None
        if step.kind == "reader":
            return Event(step.name, plugin, "read"), after
        if step.kind == "scorer":
            return Event(step.name, plugin, "scored", detail=f"{after['score']:.4g}"), after
        changes = {
            name: (old, after[name])
            for name, old in (before or {}).items()
            if name in after and after[name] != old
        }
        did = "edited" if changes else "kept"
        return Event(step.name, plugin, did, changes=changes), after

    def _after_split(self, split: PlanStep, row_id: str) -> Iterator[Event]:
        for side, did in (("train", "ordered"), ("validation", "held out")):
            place = self._place(self._table(split.name, side), row_id)
            if place is not None:
                detail = f"row {place + 1:,} of the training set" if side == "train" else ""
                yield Event(split.name, split.plugin.name, did, detail=detail)
                yield from self._packed(self._next(split, side), side, row_id)

    def _packed(self, pack: PlanStep | None, side: str, row_id: str) -> Iterator[Event]:
        if pack is None or pack.name not in self.done:
            return
        noted = self._noted(pack, row_id)
        packs = self._table(pack.name, side).column("ids").combine_chunks()
        place = pc.index(pc.list_flatten(packs), row_id).as_py()
        if place < 0:
            reason, detail = ("no-answer", "")
            for entry in noted[:1]:
                reason, detail = entry["reason"], entry["detail"]
            yield Event(pack.name, pack.plugin.name, "left out", reason, detail)
            return
        number = pc.list_parent_indices(packs)[place].as_py()
        detail = f"pack {number + 1:,} of {len(packs):,} ({side})"
        shortened = [entry["detail"] for entry in noted if entry["reason"] == "truncated"]
        yield Event(
            pack.name,
            pack.plugin.name,
            "packed",
            "truncated" if shortened else "",
            "; ".join([*shortened, detail]),
        )

    def _noted(self, pack: PlanStep, row_id: str) -> list[Row]:
        """Return the entries of packing's drop log on a row; a row may make several samples."""
        if "drops" not in self.done[pack.name].result.outputs:
            return []
        log = self._table(pack.name, "drops")
        return log.filter(pc.equal(log.column("id"), row_id)).to_pylist()  # type: ignore[no-any-return]

    def _next(self, step: PlanStep, output: str) -> PlanStep | None:
        """Return the step that the rows go to from here; a benchmark's go to filters as such."""
        wanted = f"{step.name}#{output}"
        for other in self.plan.steps:
            for role, reference in other.inputs.items():
                if reference == wanted and not role.startswith("against/"):
                    return other
        return None

    def _readers(self) -> list[PlanStep]:
        return [s for s in self.plan.steps if s.kind == "reader" and s.name.startswith("data/")]

    def _reader_of(self, row_id: str) -> PlanStep:
        data_set = row_id.split("/", 1)[0]
        return self.plan.step(f"data/{data_set}/read")

    def _ids(self, step: PlanStep, text: str) -> list[str]:
        found: list[str] = []
        for output in ("rows", "drops"):
            ids = self._table(step.name, output).column("id")
            found += ids.filter(pc.ends_with(ids, text)).to_pylist()
        return found

    def _row(self, step: str, output: str, row_id: str) -> Row | None:
        table = self._table(step, output)
        place = self._place(table, row_id)
        return None if place is None else table.slice(place, 1).to_pylist()[0]

    @staticmethod
    def _place(table: pa.Table, row_id: str) -> int | None:
        place = pc.index(table.column("id"), row_id).as_py()
        return None if place < 0 else place

    @staticmethod
    def _rows(table: pa.Table, ids: pa.Array) -> dict[str, Row]:
        places = pc.index_in(ids, table.column("id")).drop_null()
        return {row["id"]: row for row in table.take(places).to_pylist()}

    def _table(self, step: str, output: str) -> pa.Table:
        result = self.done[step].result
        folder = self.store.folder(result.outputs[output])
        if not folder.is_dir():
            raise StoreError(
                f"the store does not have {step}#{output} any more",
                hint="run the recipe again: only missing results are recomputed",
            )
        return read_table(folder)
