"""The Python API: open, validate, plan, lock, run, rehearse and audit recipes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..schema.plan import Plan
from ..schema.recipe import Recipe
from .forecast import Forecast
from .observer import Observer
from .run_lookup import Run
from .session import Session, open_session
from .validation import Validation, validate_recipes

if TYPE_CHECKING:
    from ..schema.audit import AuditReport
    from .rehearse import Rehearsed

Settings = Mapping[str, Any] | Sequence[str]
"""Overrides of a recipe's values: `{path: value}`, or `path=value` texts as `--set` takes them."""


class Project:
    """A recipe with its lock, its store and the installed plugins; `open_recipe` makes one."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def __repr__(self) -> str:
        return f"<Project {self.plan.recipe} {self.recipe_hash}>"

    @property
    def recipe(self) -> Recipe:
        """The bound recipe: every default written out."""
        return self._session.compiled.recipe

    @property
    def plan(self) -> Plan:
        """The plan: steps in order, each with its key, plugin and inputs."""
        return self._session.compiled.plan

    @property
    def recipe_hash(self) -> str:
        """The digest of everything that a run is asked to do; provisional unless `locked`."""
        return self.plan.recipe_hash

    @property
    def locked(self) -> bool:
        """Whether the bytes of every source are pinned."""
        return self.plan.locked

    @property
    def lock_file(self) -> Path:
        """The path of the lock, whether or not it is there."""
        return self._session.lock_file

    @property
    def store(self) -> Path:
        """The folder of the store that results are cached in."""
        return self._session.store.root

    def pending(self) -> list[str]:
        """Return the names of the steps that are not cached, in order."""
        from ..runtime.execute import pending

        return [step.name for step in pending(self.plan, self._session.store)]

    def forecast(self, device: str | None = None, *, launch: str | None = None) -> Forecast:
        """Estimate rows, tokens, memory, time and disk from everything known in the store.

        Args:
            device: such as `rtx-4090`; left out, the one that the recipe's rules name, or that
                this base was trained on here.
            launch: processes of the training, as `recipe plan --launch` takes them; the memory is
                that of each.

        Raises:
            InputError: there is no such device, or `launch` cannot be read.
            RecipeError: the base cannot do what the recipe asks.
        """
        from .forecast import forecast
        from .launch import parse_launch

        return forecast(self._session, device, None if launch is None else parse_launch(launch))

    def lock(
        self,
        observer: Observer | None = None,
        *,
        update: Sequence[str] = (),
        mirror: str | None = None,
    ) -> None:
        """Pin the bytes of every source, and write the lock.

        Args:
            observer: receives a notice for each source that is pinned.
            update: sources to pin again although they are pinned, and plugin files to accept as
                they are now; `all` for every one.
            mirror: a folder or address to download from instead; left out, KHICHDI_MIRROR.

        Raises:
            InputError: there is no such source, plugin file or mirror.
            LockError: a plugin file has changed, and `update` does not name it.
            FetchError: a source cannot be reached, or has nothing that was asked for.
        """
        from .locking import write_lock
        from .mirrors import open_mirror

        self._session = write_lock(
            self._session, observer or Observer(), again=update, mirror=open_mirror(mirror)
        )

    def run(
        self,
        observer: Observer | None = None,
        *,
        locked: bool = False,
        launch: str | None = None,
        mirror: str | None = None,
    ) -> Run:
        """Pin unpinned sources, run steps that are not cached, and write the record.

        Args:
            observer: receives notices and the progress of steps.
            locked: refuse to pin anything: the lock must be complete.
            launch: processes of the training, as `recipe run --launch` takes them: `2`, or
                `8,strategy=fsdp`.
            mirror: a folder or address to download from instead; left out, KHICHDI_MIRROR.

        Raises:
            InputError: the recipe asks for what its base cannot do, or breaks one of its rules.
            LockError: the lock is not complete, and pinning is refused.
            WorkError: a step failed. Finished steps stay in the store: run again to resume there.
        """
        from .launch import parse_launch
        from .mirrors import open_mirror
        from .run import run_session

        done = run_session(
            self._session,
            observer or Observer(),
            locked=locked,
            launch=None if launch is None else parse_launch(launch),
            mirror=open_mirror(mirror),
        )
        self._session = done.session
        return done.run

    def rehearse(
        self,
        observer: Observer | None = None,
        *,
        rows: int = 64,
        fetch: bool = False,
        mirror: str | None = None,
    ) -> Rehearsed:
        """Run the whole plan on a few rows and a tiny base model, in about a minute.

        Args:
            observer: receives the progress of steps.
            rows: rows that each source gives, at least 16.
            fetch: whether a few files of pinned sources may be downloaded.
            mirror: a folder or address to download from instead; left out, KHICHDI_MIRROR.

        Raises:
            InputError: there are too few rows.
            WorkError: a step failed, as it would in a run.
        """
        from .mirrors import open_mirror
        from .rehearse import rehearse

        return rehearse(
            self._session,
            observer or Observer(),
            rows=rows,
            fetch=fetch,
            mirror=open_mirror(mirror),
        )


def open_recipe(
    recipe: str | Path,
    *,
    settings: Settings = (),
    store: str | Path | None = None,
    until: str | None = None,
) -> Project:
    """Open a recipe with its lock and store.

    Args:
        recipe: a path, or the bare name of a recipe that ships, such as `quickstart`.
        settings: overrides of its values, such as `{"train.num_epochs": 1}`.
        store: the store's folder; left out, KHICHDI_STORE, else `.khichdi` of the project.
        until: the step or section that its plan is to end with, such as `mixture`; left out, all.

    Raises:
        RecipeError: the recipe is wrong; `diagnostics` has every error with its place.
        InputError: there is no such recipe or step.
        LockError: the lock beside it cannot be read.
    """
    return Project(open_session(str(recipe), store=store, settings=_texts(settings), until=until))


def validate(recipe: str | Path, *, settings: Settings = ()) -> Validation:
    """Validate a recipe against the installed plugins; report all errors at once.

    Args:
        recipe: a path, or the bare name of a recipe that ships.
        settings: overrides of its values, such as `{"train.num_epochs": 1}`.

    Raises:
        RecipeError: there is a secret among the overrides.
    """
    return validate_recipes([str(recipe)], _texts(settings))


def audit(
    run: Run | str | Path,
    observer: Observer | None = None,
    *,
    level: str | None = None,
    rerun: bool = False,
    segments: int | None = None,
    nonce: str | None = None,
    data: str | Path = ".",
    calibration: str | Path | None = None,
    mirror: str | None = None,
    store: str | Path | None = None,
    allow_local_plugins: bool = False,
) -> AuditReport:
    """Re-derive what a run claims, level by level, and compare.

    Without `rerun` or `segments`, documents and bytes are compared and nothing is executed.

    Args:
        run: a run, its name or folder, `latest`, its record.json, or a bundle.
        observer: receives the progress of steps that are executed again.
        level: go no further than this level.
        rerun: execute every step again from the pinned bytes.
        segments: execute so many segments of the training again, drawn at random.
        nonce: decides which segments are drawn; left out, drawn by the operating system.
        data: where relative paths of sources start, if the run's bytes are not here.
        calibration: a file with limits for other hardware; `own` is the run's own.
        mirror: a folder or address to download from instead; left out, KHICHDI_MIRROR.
        store: the store's folder; left out, KHICHDI_STORE, else `.khichdi` of the project.
        allow_local_plugins: run the plugin files that the run or bundle contains: they are code by
            its author. Without it, their results are reported as unverifiable.

    Raises:
        InputError: there is no such run, a document of it is damaged, or arguments contradict each
            other.
        WorkError: a step cannot be executed again.
    """
    from .audit import AuditOptions, audit_claim
    from .audit_target import open_target
    from .mirrors import open_mirror

    options = AuditOptions(
        level, rerun, segments, nonce, data, None, calibration, allow_local_plugins
    )
    options.check()
    if isinstance(run, Run):
        store = store or run.store.root
        run = run.folder
    with open_target(run, store=store) as claim:
        return audit_claim(claim, options, observer or Observer(), open_mirror(mirror))


def evaluate(
    run: Run | str | Path,
    evaluations: str | Path,
    observer: Observer | None = None,
    *,
    mirror: str | None = None,
    store: str | Path | None = None,
    allow_local_plugins: bool = False,
) -> Run:
    """Add evaluations to a finished run, and return the run that has them; nothing is retrained.

    Args:
        run: a run, its name or folder, or `latest`; it stays as it is.
        evaluations: a YAML file with a list of `evaluate:` entries.
        observer: receives notices and the progress of steps.
        mirror: a folder or address to download from instead; left out, KHICHDI_MIRROR.
        store: the store's folder; left out, KHICHDI_STORE, else `.khichdi` of the project.
        allow_local_plugins: run the plugin files that the run keeps.

    Raises:
        InputError: the evaluations are wrong, or the plugins that are installed here give a step of
            the run another key.
        WorkError: an evaluation failed, or the store lacks a result of the run.
    """
    from .evaluation import evaluate_run, open_evaluated
    from .evaluation_file import read_evaluations
    from .mirrors import open_mirror

    file = read_evaluations(Path(evaluations))
    found = run if isinstance(run, Run) else open_evaluated(run, store)
    return evaluate_run(
        found,
        file,
        observer or Observer(),
        mirror=open_mirror(mirror),
        allow_local_plugins=allow_local_plugins,
    ).run


def _texts(settings: Settings) -> tuple[str, ...]:
    """Return overrides as `path=value`; JSON is the YAML that the language reads."""
    if isinstance(settings, str):
        return (settings,)
    if isinstance(settings, Mapping):
        return tuple(f"{path}={json.dumps(value)}" for path, value in settings.items())
    return tuple(settings)
