"""Run a recipe: the whole flow from lock to record.

lock       pin unpinned sources                   locking.py
forecast   refuse what the base cannot do         forecast.py
quota      make room in the store                 quota.py
run        execute steps that are not cached      khichdi.runtime.execute
record     write down what happened               khichdi.runtime.store.runs
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ..plugins.kinds.launch import Launch
from ..runtime.execute import Executor, pending
from ..runtime.journal import journaled
from ..runtime.sources.mirror import Mirror
from ..runtime.sources.pin import check_local
from ..runtime.store.runs import RECORD, finished_run, make_record, new_run, write_run
from ..schema.errors import RecipeError
from ..schema.lock import Lock
from ..schema.record import EvaluatedRun, Record, RecordedStep
from .cache_misses import CacheMisses, cache_misses
from .expectations import unexpected
from .forecast import compared, forecast
from .locking import completed, report_other_plugins
from .model_card import adapter_texts
from .observer import Observer
from .quota import make_room_for
from .run_lookup import Run
from .session import Session


@dataclass(frozen=True)
class FinishedRun:
    """A run that just ended.

    Attributes:
        session: the recipe, with its lock complete.
        run: the run; an earlier one where everything was cached and it has the same result.
        record: what happened this time.
        misses: why steps ran again; None where none did, or the recipe never ran here.
        executed: how many steps were not cached.
    """

    session: Session
    run: Run
    record: Record
    misses: CacheMisses | None
    executed: int


def run_session(
    session: Session,
    observer: Observer,
    *,
    locked: bool = False,
    mirror: Mirror | None = None,
    launch: Launch | None = None,
) -> FinishedRun:
    """Pin unpinned sources, run steps that are not cached, and write the record.

    Args:
        session: the recipe.
        observer: receives notices and the progress of steps.
        locked: refuse to pin anything: the lock must be complete.
        mirror: asked for bytes instead of the places that sources name.
        launch: the processes that a training is divided over; left out, this one alone.

    Raises:
        InputError: the recipe asks for what its base cannot do, or breaks one of its rules.
        LockError: the lock is not complete and pinning is refused, or a plugin file has changed.
        WorkError: a step failed; finished steps stay in the store, and the next run resumes there.
    """
    started, clock = datetime.now().astimezone(), time.monotonic()
    report_other_plugins(session, observer)
    session = completed(session, observer, locked=locked, mirror=mirror)
    plan, folders = session.compiled.plan, session.compiled.folders
    check_local(plan, folders, session.registry, session.lock)
    expected = forecast(session)
    if expected.breaches:
        raise RecipeError(expected.breaches)
    to_run = len(pending(plan, session.store))
    if to_run:
        make_room_for(session, expected.estimate.disk, observer)
    misses = cache_misses(session)
    if misses:
        observer.notice("\n".join(misses.lines()))
    return execute(session, observer, (started, clock), misses, mirror=mirror, launch=launch)


def execute(
    session: Session,
    observer: Observer,
    start: tuple[datetime, float],
    misses: CacheMisses | None = None,
    *,
    mirror: Mirror | None = None,
    launch: Launch | None = None,
    evaluates: EvaluatedRun | None = None,
) -> FinishedRun:
    """Run the steps of a locked recipe that are not cached, and write the record.

    `start` has the time of the start, and the monotonic clock then; `evaluates` is the run that
    this one adds evaluations to.
    """
    plan, (started, clock) = session.compiled.plan, start
    to_run = len(pending(plan, session.store))
    folder = new_run(session.store, plan.recipe, started) if to_run else None
    with (
        observer.running(plan, folder / "log.txt" if folder else None, to_run),
        journaled(folder, plan, started, observer) as reporter,
    ):
        folders = session.compiled.folders
        executor = Executor(
            plan, session.store, session.registry, folders, reporter, mirror, launch=launch
        )
        steps = executor.run()
        record = _record(session, steps, started, time.monotonic() - clock)
        record = record.model_copy(update={"evaluates": evaluates})
        run = _write(session, record, folder, started)
    for text in unexpected(session.compiled.recipe, steps) if plan.has("mixture") else ():
        observer.notice(text)
    return FinishedRun(session, run, record, misses, to_run)


def _record(
    session: Session, steps: list[RecordedStep], started: datetime, seconds: float
) -> Record:
    record = make_record(session.compiled.plan, steps, session.registry, started, seconds)
    bound = session.compiled.recipe.to_json()
    more = {
        "bound": bound,
        "settings": session.settings,
        "until": session.compiled.until,
        "estimate": compared(session),
    }
    return record.model_copy(update=more)


def _write(session: Session, record: Record, folder: Path | None, started: datetime) -> Run:
    """Fill the run's folder; where nothing ran, take that of the run with the same result."""
    store, plan = session.store, session.compiled.plan
    found = folder or finished_run(store, record) or new_run(store, plan.recipe, started)
    if folder is not None or not (found / RECORD).is_file():
        lock, files = _lock(session), session.compiled.loaded.files
        texts = adapter_texts(found, record, plan, lock, store, session.registry)
        write_run(found, record, plan, lock, files, store, texts)
    return Run(found, record, store)


def _lock(session: Session) -> Lock:
    """Return the lock of what ran: a run that ends early claims no bytes of later steps."""
    assert session.lock is not None
    plan = session.compiled.plan
    lock = session.lock.only({step.name for step in plan.steps})
    if session.compiled.until is None:
        return lock
    return lock.model_copy(update={"plugins": session.registry.distributions(plan)})
