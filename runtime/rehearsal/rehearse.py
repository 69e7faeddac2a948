"""Rehearse the whole plan, end to end, on a few rows per source and a tiny base model.

Every step runs as it would, by the same plugin, with the parameters that the plugin lets
a rehearsal reduce. Unavailable inputs are replaced, and reported as such: rows of a
source that is not on this machine by generated ones, the base by random weights.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from ...plugins.kinds import Drop, Pin, Reader, Source, SourceFile
from ...plugins.registry import Registry
from ...schema.errors import FetchError
from ...schema.lock import PinnedFile
from ...schema.plan import Plan, PlanStep, PluginRef
from ...schema.record import RecordedStep
from ..execute import Executor, Reporter, perform
from ..sources.mirror import Mirror
from ..steps.context import Context, Outcome, Produced
from ..store.store import Store

Item = TypeVar("Item")

FILES = 8
"""Files of a source that rows are taken from, spread over all it has."""
LENGTH = 256
HELD_OUT = 8
SMALL_FILES = (".json", ".model", ".txt", ".jinja", ".tiktoken")


@dataclass
class Rehearsal:
    """Inputs of a rehearsal.

    Attributes:
        plan: the plan to rehearse.
        store: the user's store: sources that are there already are taken from it.
        scratch: an empty store that the rehearsal fills.
        folders: for each source, the folder that its relative paths start in.
        rows: how many rows each source gives.
        mirror: asked for sources that are not on this machine.
        fetch: whether sources that are pinned may be brought over the network.
        notes: by step name, what was replaced or left out; filled while it runs.
        missing: keys of the sources whose bytes could not be had; filled while it runs. Keys, as
            two data sets may share a source, and the second is not asked for again.
    """

    plan: Plan
    store: Store
    scratch: Store
    registry: Registry
    folders: Mapping[str, Path]
    rows: int
    mirror: Mirror | None = None
    fetch: bool = False
    notes: dict[str, str] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)

    def run(self, reporter: Reporter) -> list[RecordedStep]:
        """Run every step; errors of a run occur here.

        Raises:
            KhichdiError: a step failed.
        """
        small = miniature_plan(self.plan, self.registry)
        executor = Executor(
            small, self.scratch, self.registry, self.folders, reporter, perform=self._perform
        )
        return executor.run()

    def _perform(self, context: Context) -> Outcome:
        special: dict[str, Callable[[Context], Outcome]] = {
            "source": self._source,
            "reader": self._read,
            "filter": self._filter,
            "evaluator": self._evaluate,
        }
        return special.get(context.step.kind, perform)(context)

    # ---- steps that differ ------------------------------------------------------------------

    def _source(self, context: Context) -> Outcome:
        name = context.step.name
        folder = context.output("files")
        real = self._real(context, weights=name != "base")
        if name == "base":
            from .tiny_model import has_configuration, write_miniature

            found = real is not None and has_configuration(_inside(real))
            write_miniature(_inside(real) if real is not None and found else None, folder)
            known = "of its own architecture" if found else "of Llama's architecture"
            self.notes[name] = f"random weights in a miniature {known}"
        elif real is None:
            self.missing.add(self.plan.step(name).key)
            self.notes.setdefault(name, "not on this machine")
            (folder / "stand-in").write_text("nothing of the source is here\n")
        else:
            _link(real, folder)
        files = sum(path.is_file() for path in folder.rglob("*"))
        return Outcome({"files": Produced(folder, "files")}, facts={"files": files, "bytes": 0})

    def _read(self, context: Context) -> Outcome:
        from ..steps.rows import write_rows
        from .synthetic_rows import stand_ins

        root = context.inputs["files"]
        if self._missing(context.step):
            self.notes[context.step.name] = f"{self.rows} generated rows"
            salt = str(context.step.settings["data_set"])
            return write_rows(context, [stand_ins(self.rows, salt)])
        reader: Reader[Any] = context.plugin()
        paths = sorted(path for path in root.rglob("*") if path.is_file())
        chosen = _spread(paths, FILES)
        share = -(-self.rows // max(1, len(chosen)))

        def head() -> Any:
            for path in chosen:
                left = share
                for found in reader.read([SourceFile(path.relative_to(root).as_posix(), path)]):
                    if isinstance(found, Drop):
                        yield found
                        continue
                    yield found.slice(0, left)
                    left -= found.num_rows
                    if left <= 0:
                        break

        return write_rows(context, head())

    def _filter(self, context: Context) -> Outcome:
        """Filter, unless its bytes are missing; generated rows that all go are passed on."""
        step = context.step
        missing = self._missing(step)
        if missing:
            self.notes[step.name] = f"not rehearsed: {', '.join(missing)} is not on this machine"
            return _pass_on(context)
        outcome = perform(context)
        if outcome.facts["rows_out"] == 0 and outcome.facts["rows_in"]:
            self.notes[step.name] = "keeps none of these rows; they are passed on anyway"
            return _pass_on(replace(context, staging=_emptied(context.staging)))
        return outcome

    def _evaluate(self, context: Context) -> Outcome:
        """Evaluate, unless the evaluator's own bytes are missing."""
        missing = self._missing(context.step)
        if not missing:
            return perform(context)
        from ..steps.train import values

        self.notes[context.step.name] = (
            f"not rehearsed: {', '.join(missing)} is not on this machine"
        )
        outputs = {
            "predictions": values(context, "predictions", []),
            "metrics": values(context, "metrics", {}),
        }
        return Outcome(outputs, facts={"metrics": {}, "rows_in": 0})

    def _missing(self, step: PlanStep) -> list[str]:
        """Return which of a step's sources could not be had, by what they are to it."""
        keys = [(role, self.plan.step(name).key) for role, name, _ in step.sources()]
        return [role for role, key in keys if key in self.missing]

    # ---- real data --------------------------------------------------------------------------

    def _real(self, context: Context, *, weights: bool) -> Path | None:
        """Return a folder with the source's real files, or some of them; None if it has none."""
        step = self.plan.step(context.step.name)
        result = self.store.result(step.key)
        if result is not None:
            return self.store.folder(result.outputs["files"])
        source: Source[Any] = context.plugin()
        origin = self.folders[step.name]
        into = context.work / "files"
        into.mkdir(exist_ok=True)
        try:
            pin = self._pin(step, source, origin)
            if pin is None:
                return None
            # An evaluation set is read whole: its files are few, and each is a split.
            whole = step.name.startswith("evaluate/")
            wanted = replace(pin, files=pin.files if whole else _few(pin, weights))
            if self.mirror is not None and not source.local:
                self.mirror.fetch(source, wanted, into)
            else:
                source.fetch(wanted, origin, into)
        except FetchError as error:
            if source.local:
                raise
            self.notes[step.name] = error.message
            return None
        return into

    def _pin(self, step: PlanStep, source: Source[Any], origin: Path) -> Pin | None:
        """Return files that may be fetched now, without the network unless asked to."""
        if source.local:
            return source.pin(origin)
        if step.material is not None and (self.mirror is not None or self.fetch):
            return Pin(step.material.files, step.material.revision)
        return self.mirror.pin(source) if self.mirror is not None else None


def miniature_plan(plan: Plan, registry: Registry) -> Plan:
    """Return the plan with the smaller parameters that plugins give for a rehearsal."""
    steps = tuple(_miniature(step, registry) for step in plan.steps)
    return plan.model_copy(update={"steps": steps})


def _miniature(step: PlanStep, registry: Registry) -> PlanStep:
    def small(ref: PluginRef) -> PluginRef:
        if ref.name not in registry.names(ref.kind):
            return ref
        changes = registry.create(ref.kind, ref.name, ref.params).rehearsal()
        return ref.model_copy(update={"params": {**ref.params, **changes}})

    settings = dict(step.settings)
    if step.kind == "pack":
        settings["sequence_len"] = min(LENGTH, int(str(settings["sequence_len"])))
    if step.kind == "split" and settings["validation"] is not None:
        validation: Any = settings["validation"]
        if validation["count"] is not None:
            settings["validation"] = {**validation, "count": min(HELD_OUT, validation["count"])}
    return step.model_copy(update={"plugin": small(step.plugin), "settings": settings})


def _few(pin: Pin, weights: bool) -> tuple[PinnedFile, ...]:
    """Return a few of the pinned files; without a base's weights where these are separate files."""
    if weights or any(file.path.endswith(".gguf") for file in pin.files):
        return tuple(_spread(pin.files, FILES))
    return tuple(file for file in pin.files if file.path.endswith(SMALL_FILES))


def _spread(items: Sequence[Item], count: int) -> list[Item]:
    """Return some of the items, from all over."""
    if len(items) <= count:
        return list(items)
    return [items[index * len(items) // count] for index in range(count)]


def _link(source: Path, into: Path) -> None:
    """Show the files of a folder in another without copying them where that can be."""
    for path in source.rglob("*"):
        if path.is_file():
            target = into / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(path, target)
            except OSError:
                shutil.copyfile(path, target)


def _inside(folder: Path) -> Path:
    """Go into a folder that holds nothing but one folder, as steps do."""
    inside = list(islice(folder.iterdir(), 2))
    return _inside(inside[0]) if len(inside) == 1 and inside[0].is_dir() else folder


def _emptied(staging: Path) -> Path:
    folder = staging / "again"
    folder.mkdir()
    return folder


def _pass_on(context: Context) -> Outcome:
    """Give the rows on as they are."""
    from ..steps.drop_log import Ledger
    from ..tables import batches, read_table

    ledger = Ledger(context, read_table(context.inputs["rows"]).schema)
    for batch in batches(context.inputs["rows"]):
        ledger.keep(batch)
    return ledger.outcome()
