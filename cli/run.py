"""Run a recipe: pin what is not pinned, run what is not cached, and write the record."""

from __future__ import annotations

import sys
import time
from argparse import ArgumentParser, Namespace
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from ..compiler.compile import with_lock
from ..runtime.execute import Executor, pending
from ..runtime.sources.pin import check_local, other_plugins, stale
from ..runtime.store.runs import exports, finished_run, make_record, new_run, write_run
from ..schema.errors import LockError
from ..schema.printable import printable
from ..schema.record import Record
from ..schema.secrets import mask
from .causes import Causes, causes
from .display import Display
from .known import compared, forecast
from .launch import chosen_launch, launch_argument
from .lock import write_lock
from .mirrors import mirror_argument, open_mirror
from .output import beside, emit, short
from .quiet import quiet
from .quota import room_for
from .session import Session, open_session, recipe_argument
from .workers import use_workers, workers_argument


def arguments(parser: ArgumentParser) -> None:
    """Add what this command takes."""
    recipe_argument(parser)
    mirror_argument(parser)
    workers_argument(parser)
    launch_argument(parser)
    parser.add_argument(
        "--locked", action="store_true", help="refuse to pin anything: the lock must be complete"
    )


def run(options: Namespace) -> int:
    """Run, and print the record's main lines."""
    use_workers(options)
    launch = chosen_launch(options)
    started, clock = datetime.now().astimezone(), time.monotonic()
    session = open_session(options, options.file)
    if session.shipped:
        _say(options, f"{options.file} is no file here: running the recipe that ships")
    _tell_of_plugins(session, options)
    session = _locked(session, options)
    plan, folders = session.compiled.plan, session.compiled.folders
    check_local(plan, folders, session.registry)
    expected = forecast(session)  # refuses what the base cannot do, and what breaks a rule by now
    to_run = len(pending(plan, session.store))
    if to_run and (said := room_for(session, expected.estimate.disk)):
        _say(options, said)
    changed = causes(session)
    if changed:
        _say(options, "\n".join(changed.lines()))
    folder = new_run(session.store, plan.recipe, started) if to_run else None
    log = folder / "log.txt" if folder else None
    with quiet(log) as screen, Display(plan, screen, options, to_run) as display:
        executor = Executor(
            plan,
            session.store,
            session.registry,
            folders,
            display,
            open_mirror(options),
            launch=launch,
        )
        steps = executor.run()
        seconds = time.monotonic() - clock
        record = make_record(plan, steps, session.registry, started, seconds)
        bound = session.compiled.recipe.to_json()
        more = {"bound": bound, "settings": session.settings, "estimate": compared(session)}
        record = record.model_copy(update=more)
        folder = folder or finished_run(session.store, record)
        if log is None and folder is None:
            folder = new_run(session.store, plan.recipe, started)
        assert folder is not None
        if log is not None or not (folder / "record.json").is_file():
            assert session.lock is not None
            recipes = session.compiled.loaded.files
            write_run(folder, record, plan, session.lock, recipes, session.store)
    emit(options, _document(record, folder, changed), _text(record, folder, to_run))
    return 0


def _tell_of_plugins(session: Session, options: Namespace) -> None:
    """Say when plugins are not those that the lock was made with."""
    if session.lock is None:
        return
    found = other_plugins(session.lock, session.registry.distributions(session.compiled.plan))
    for words in found:
        _say(options, f"  {words}")
    if found:
        _say(options, "  steps whose plugin raised its version run again; `recipe lock` notes it")


def _locked(session: Session, options: Namespace) -> Session:
    """Return the session with a complete lock, pinning what it lacks."""
    missing = stale(session.compiled.plan, session.lock)
    if not missing:
        return session
    if options.locked:
        raise LockError(
            f"the lock lacks {', '.join(missing)}", hint=f"pin with `recipe lock {options.file}`"
        )
    lock = write_lock(session, options)
    if not session.settings:
        _say(options, f"  wrote {session.lock_file}")
    compiled = with_lock(session.compiled, session.registry, lock)
    return replace(session, lock=lock, compiled=compiled)


def _say(options: Namespace, text: str) -> None:
    if not (options.quiet or options.json):
        print(printable(mask(text)), file=sys.stderr)


def _document(record: Record, folder: Path, changed: Causes | None) -> dict[str, Any]:
    why = changed.why if changed else {}
    steps = [
        {
            "name": step.name,
            "kind": step.kind,
            "plugin": step.plugin,
            "key": step.result.key,
            "digest": step.digests(),
            "status": step.status,
            "why": why.get(step.name),
            "seconds": step.seconds,
        }
        for step in record.steps
    ]
    return {
        "run": str(folder),
        "recipe_hash": record.recipe_hash,
        "result_hash": record.result_hash,
        "adapter": str(folder / "adapter"),
        "exports": {name: str(folder / "export" / name) for name in exports(record)},
        "steps": steps,
        "metrics": record.metrics,
        "estimate": record.estimate.to_json() if record.estimate else None,
    }


def _text(record: Record, folder: Path, ran: int) -> str:
    lines = []
    if not ran:
        count = len(record.steps)
        lines.append(
            f"{record.recipe}   recipe hash {short(record.recipe_hash)}   "
            f"{count} steps cached, nothing to run ({record.seconds:.1f} s)"
        )
    else:
        lines.append(f"recipe hash  {record.recipe_hash}")
    lines.append(f"result hash  {record.result_hash}")
    place = folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
    lines.append(f"run          {place}")
    lines.append(f"adapter      {place / 'adapter'}")
    lines += [f"export       {place / 'export' / name}" for name in exports(record)]
    if (folder / "loss.png").is_file():
        lines.append(f"loss curve   {place / 'loss.png'}")
    lines += beside(record)
    lines.append(f"next: recipe runs {folder.name}")
    return "\n".join(lines)
