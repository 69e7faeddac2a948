"""Run folders: recipe, lock, plan, record and adapter, for people to read.

record.json   what happened; written last, so a run without it did not finish
plan.json     the plan that ran
recipe/       the recipe's files and its lock, as they were
adapter/      the trained adapter in peft's format, with tokenizer and model card
loss.png      the loss curve
journal.jsonl how far it is, while it runs
log.txt       output of libraries
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from ...plugins.registry import Registry
from ...schema.digest import file_sha256
from ...schema.errors import InputError
from ...schema.file_names import inside
from ...schema.lock import Lock
from ...schema.plan import Plan, result_hash
from ...schema.record import Output, RecipeFile, Record, RecordedStep
from ..adapter_folder import trained_base, write_adapter_folder
from ..environment import distributions, environment
from ..loss_plot import loss_picture
from .atomic_io import make_folder, sync, sync_tree
from .store import Store, write_atomically

RECORD = "record.json"
PLAN = "plan.json"

MINUTE = "%Y-%m-%d-%H%MZ"
"""The start of a run in its folder's name: in UTC, so that names of all time zones sort by it."""

_MINUTE = r"(\d{4}-\d\d-\d\d-\d{4}Z)"
_NAMED = re.compile(rf"{_MINUTE}-.+")

SEARCHED = 200
"""How many runs of a recipe are searched for one with the same result, newest first."""


def new_run(store: Store, recipe: str, now: datetime) -> Path:
    """Make the folder of a new run, `<date>-<time>Z-<recipe>`, and return it."""
    stem = f"{now.astimezone(UTC):{MINUTE}}-{recipe}"
    number = 1
    while True:
        folder = store.runs / (stem if number == 1 else f"{stem}-{number}")
        try:
            make_folder(store.runs)
            folder.mkdir()
            sync(store.runs)
            return folder
        except FileExistsError:
            number += 1


def finished_run(store: Store, record: Record) -> Path | None:
    """Return the newest run of the same recipe and settings with the same result, if any."""
    for folder, found in islice(newest_runs(store, record.recipe), SEARCHED):
        if found and _identity(found) == _identity(record):
            return folder
    return None


def _identity(record: Record) -> tuple[object, ...]:
    return record.recipe_hash, record.result_hash, record.settings, record.until


def newest_runs(
    store: Store, recipe: str | None = None, before: Path | None = None
) -> Iterator[tuple[Path, Record | None]]:
    """Yield runs by their recorded start, newest first; the record of an unfinished run is None.

    A folder's name has the minute of the start, so records are read lazily, those of one minute at
    a time. Of a folder with another name, the record is read at once.

    Args:
        store: the store.
        recipe: only runs of the recipe of this name.
        before: only runs that started before the one in this folder.
    """
    named = re.compile(rf"{_MINUTE}-{re.escape(recipe)}(-\d+)?" if recipe else rf"{_MINUTE}-.+")
    minutes: dict[str, list[str]] = {}
    for name in run_names(store):
        if named.fullmatch(name) or not _NAMED.match(name):
            minutes.setdefault(_minute(store.runs, name), []).append(name)
    last = _minute(store.runs, before.name) if before else "~"
    end = _order(before, _record(before)) if before else None
    for minute in sorted((each for each in minutes if each <= last), reverse=True):
        found = [(store.runs / name, _record(store.runs / name)) for name in minutes[minute]]
        for folder, record in sorted(found, key=lambda run: _order(*run), reverse=True):
            wanted = recipe is None or (record is not None and record.recipe == recipe)
            if wanted and (end is None or _order(folder, record) < end):
                yield folder, record


def run_names(store: Store) -> list[str]:
    """Return the names of the folders of all runs, in no order; no record is read."""
    if not store.runs.is_dir():
        return []
    with os.scandir(store.runs) as entries:
        return [entry.name for entry in entries if entry.is_dir()]


def minute_of(name: str) -> str:
    """Return the minute that a run started in, as its folder's name has it; else nothing."""
    named = _NAMED.match(name)
    return named[1] if named else ""


def _minute(runs: Path, name: str) -> str:
    return minute_of(name) or f"{_started(_record(runs / name)):{MINUTE}}"


def _record(folder: Path) -> Record | None:
    path = folder / RECORD
    try:
        return Record.from_json(path.read_bytes(), str(path))
    except (FileNotFoundError, InputError):
        return None


def _started(record: Record | None) -> datetime:
    """Return the recorded start of a run in UTC; long ago where there is none."""
    try:
        return datetime.fromisoformat(record.started if record else "").astimezone(UTC)
    except ValueError:
        return datetime(1970, 1, 2, tzinfo=UTC)


def _order(folder: Path, record: Record | None) -> tuple[str, datetime, int, str]:
    """Order runs by their start, then by the number at the end of their names.

    The number decides between records of whole seconds, which earlier versions wrote.
    """
    number = re.search(r"-(\d+)$", folder.name)
    named = _NAMED.match(folder.name)
    started = _started(record)
    minute = named[1] if named else f"{started:{MINUTE}}"
    return minute, started, int(number[1]) if number else 1, folder.name


def make_record(
    plan: Plan, steps: list[RecordedStep], registry: Registry, started: datetime, seconds: float
) -> Record:
    """Return the record of a run."""
    return Record(
        recipe=plan.recipe,
        recipe_hash=plan.recipe_hash,
        result_hash=result_hash({step.name: step.digests() for step in steps}),
        seed=plan.seed,
        started=started.astimezone(UTC).isoformat(timespec="microseconds"),
        seconds=round(seconds, 3),
        steps=tuple(steps),
        metrics=metrics(steps),
        plugins=registry.distributions(plan),
        environment=environment(),
        installed=distributions(),
    )


def write_run(
    folder: Path,
    record: Record,
    plan: Plan,
    lock: Lock,
    recipes: Iterable[Path],
    store: Store,
    adapter_texts: Mapping[str, str] | None = None,
) -> None:
    """Fill a run's folder; the record comes last.

    `adapter_texts` are texts of the adapter's folder, such as the model card.
    """
    files = keep_recipe(folder / "recipe", recipes)
    record = record.model_copy(update={"files": files, "lock": lock.seal()})
    write_atomically(folder / "recipe" / f"{plan.recipe}.lock", lock.to_text())
    write_atomically(folder / PLAN, plan.to_text())
    training = trained(record)
    if training is not None:
        outputs = training.result.outputs
        base = trained_base(plan, record)
        write_adapter_folder(
            folder / "adapter",
            store.folder(outputs["adapter"]),
            base,
            store.folder(base.output) if base else None,
            adapter_texts or {},
        )
        written = {name: file_sha256(folder / "adapter" / name) for name in adapter_texts or {}}
        record = record.model_copy(update={"adapter_texts": written})
        _show_exports(folder / "export", record, store)
        loss_picture(store.folder(outputs["trace"]) / "values.json", folder / "loss.png")
    sync_tree(folder)
    write_atomically(folder / RECORD, record.to_text())


def keep_recipe(folder: Path, recipes: Iterable[Path]) -> tuple[RecipeFile, ...]:
    """Copy a recipe's files, the one that ran first, and return their digests.

    What lies below the first one's folder keeps its place, so that what it extends is found; the
    rest goes by name alone, because no folder of this machine belongs into a run.
    """
    kept: dict[str, RecipeFile] = {}
    home: Path | None = None
    for path in recipes:
        home = home or path.parent
        name = path.relative_to(home).as_posix() if path.is_relative_to(home) else path.name
        if not inside(name):
            name = (
                f"{len(kept)}{path.suffix}"  # whatever it is called here, every system can hold it
            )
        if name in kept:
            name = f"{len(kept)}-{name}"
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        kept[name] = RecipeFile(path=name, sha256=file_sha256(target))
    return tuple(kept.values())


def trained(record: Record) -> RecordedStep | None:
    """Return the step that trained; None of a run that ended with its data."""
    return next((step for step in record.steps if step.kind == "runtime"), None)


def exports(record: Record) -> dict[str, Output]:
    """Return exported models, by their folder's name in a run's `export` folder."""
    steps = [step for step in record.steps if step.kind == "exporter"]
    return {s.name.removeprefix("export/"): s.result.outputs["model"] for s in steps}


def _show_exports(folder: Path, record: Record, store: Store) -> None:
    """Show exported models in a run's folder, without a second copy where that can be."""
    for name, output in exports(record).items():
        shutil.copytree(
            store.folder(output), folder / name, dirs_exist_ok=True, copy_function=_link_or_copy
        )


def _link_or_copy(source: str, target: str) -> None:
    Path(target).unlink(missing_ok=True)
    try:
        os.link(source, target)  # read-only, as all of the store
    except OSError:
        shutil.copyfile(source, target)


def metrics(steps: list[RecordedStep]) -> dict[str, float]:
    """Return the run's numbers: of training, and of each evaluation before and after it."""
    found: dict[str, float] = {}
    for step in steps:
        if step.kind not in ("runtime", "evaluator"):
            continue  # a scorer's numbers are about the base on the data, and stay with its step
        values: Any = step.result.facts.get("metrics") or {}
        suffix = "_before" if step.kind == "evaluator" and step.name.endswith("/base") else ""
        for name, value in values.items():
            key = f"{name}{suffix}"
            found[f"{step.plugin}.{key}" if key in found else key] = value
    return found
