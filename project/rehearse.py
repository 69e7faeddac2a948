"""Rehearse a recipe: the whole plan on a few rows per source and a tiny base model.

Errors of a long run occur here first. Sources come from the store, from this machine, from
a mirror, or where allowed over the network; rows of others are generated.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from ..runtime.rehearsal.rehearse import Rehearsal
from ..runtime.sources.mirror import Mirror
from ..runtime.store.store import Store
from ..runtime.tempdirs import scratch_folder
from ..schema.errors import InputError
from ..schema.record import RecordedStep
from .observer import Observer
from .session import Session

ROWS = 64
FEWEST_ROWS = 16


@dataclass(frozen=True)
class Rehearsed:
    """A rehearsal that went through.

    Attributes:
        steps: every step of the plan, with its result on the few rows.
        notes: by step, replaced or omitted inputs, unlike in a run.
        seconds: how long it took.
    """

    steps: list[RecordedStep]
    notes: dict[str, str]
    seconds: float


def check_rows(rows: int) -> None:
    """Refuse a rehearsal with too few rows to hold some out and filter others.

    Raises:
        InputError: there are too few.
    """
    if rows < FEWEST_ROWS:
        raise InputError(
            f"--rows must be at least {FEWEST_ROWS}: some are for validation, others are filtered"
        )


def rehearse(
    session: Session,
    observer: Observer,
    *,
    rows: int = ROWS,
    fetch: bool = False,
    mirror: Mirror | None = None,
) -> Rehearsed:
    """Run the whole plan in a temporary store; report which inputs were real.

    Args:
        session: the recipe.
        observer: receives the progress of steps.
        rows: rows that each source gives.
        fetch: whether a few files of pinned sources may be downloaded.
        mirror: asked for bytes instead of the places that sources name.

    Raises:
        InputError: there are too few rows.
        WorkError: a step failed, as it would in a run.
    """
    check_rows(rows)
    plan, clock = session.compiled.plan, time.monotonic()
    with (
        scratch_folder("rehearsal") as folder,
        observer.running(plan, Path(folder) / "log.txt", len(plan.steps)),
    ):
        rehearsal = Rehearsal(
            plan=plan,
            store=session.store,
            scratch=Store(Path(folder) / "store"),
            registry=session.registry,
            folders=session.compiled.folders,
            rows=rows,
            mirror=mirror,
            fetch=fetch,
        )
        steps = rehearsal.run(observer)
    return Rehearsed(steps, rehearsal.notes, time.monotonic() - clock)
