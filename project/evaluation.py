"""Add evaluations to a finished run: steps with keys of their own, in a run of their own.

The recipe is the run's, from the files that it keeps, with the evaluations set as `--set` would.
Every other step has the key that is on record, and its result is taken from the store. The first
run stays as it is; the record of the new one names its hashes.
"""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from ..compiler.compile import Compiled, with_lock
from ..plugins.registry import Registry
from ..runtime.audit.plugin_files import not_loaded, registry_of
from ..runtime.execute import pending
from ..runtime.sources.mirror import Mirror
from ..runtime.sources.pin import pin
from ..runtime.store.runs import RECORD
from ..schema.errors import InputError, RecipeError, StoreError
from ..schema.lock import Material
from ..schema.plan import PlanStep
from ..schema.record import EvaluatedRun
from .evaluation_file import EvaluationFile, is_evaluation_setting
from .observer import Observer
from .recompile import compile_kept
from .run import FinishedRun, execute
from .run_lookup import Run, open_run
from .session import Session, read_lock

EVALUATIONS = "evaluate/"
"""Begins the names of evaluation steps, and of the sources that are theirs."""


def open_evaluated(run: str | Path, store: str | Path | None = None) -> Run:
    """Open the run to evaluate: by name or folder, or by the folder of its adapter.

    Raises:
        InputError: there is no such finished run; or the folder has an adapter that no run is with.
    """
    folder = Path(run)
    if (folder / "adapter_config.json").is_file():
        if not (folder.resolve().parent / RECORD).is_file():
            raise InputError(
                f"{run} is an adapter without its run: its base, template and rows are not known",
                hint="name the run, or the `adapter` folder in the run's own folder",
            )
        return open_run(folder.resolve().parent, store=store)
    return open_run(run, store=store)


def evaluate_run(
    run: Run,
    file: EvaluationFile,
    observer: Observer,
    *,
    mirror: Mirror | None = None,
    allow_local_plugins: bool = False,
) -> FinishedRun:
    """Evaluate the trained model of a run, and its base, in further ways.

    Args:
        run: the finished run; it is not changed.
        file: the evaluations. One of an evaluator that the run has takes its place in the new run.
        observer: receives notices and the progress of steps.
        mirror: asked for bytes instead of the places that sources name.
        allow_local_plugins: run the plugin files that the run keeps.

    Raises:
        InputError: the evaluations are wrong, the run has them already, or its recipe does not give
            the keys on record with the plugins that are installed here.
        StoreError: the store does not have a result of the run any more.
        WorkError: an evaluation failed.
    """
    start = datetime.now().astimezone(), time.monotonic()
    registry = registry_of(run.folder, run.record, allow=allow_local_plugins)
    settings = _settings(run, file)
    compiled = _compiled(run, file, settings, registry)
    lock_file = run.folder / "recipe" / f"{run.record.recipe}.lock"
    folders = {
        name: file.path.parent if name.startswith(EVALUATIONS) else folder
        for name, folder in compiled.folders.items()
    }

    def report(name: str, material: Material | None) -> None:
        if material is None:
            observer.notice(f"  pinning {name} …")

    previous = read_lock(lock_file)
    lock = pin(compiled.plan, folders, compiled.registry, previous, mirror=mirror, report=report)
    compiled = replace(with_lock(compiled, compiled.registry, lock), folders=folders)
    _check_keys(run, compiled)
    session = Session(
        run.name, compiled.registry, compiled, lock, lock_file, run.store, False, settings
    )
    first = EvaluatedRun(recipe_hash=run.recipe_hash, result_hash=run.result_hash)
    return execute(session, observer, start, mirror=mirror, evaluates=first)


def _settings(run: Run, file: EvaluationFile) -> tuple[str, ...]:
    """Return the settings of the run, and the evaluations in the place of those they replace."""
    added = file.settings()
    kept = [
        text
        for text in run.record.settings
        if not any(is_evaluation_setting(text, name) for name in added)
    ]
    return (*kept, *added.values())


def _compiled(
    run: Run, file: EvaluationFile, settings: tuple[str, ...], registry: Registry
) -> Compiled:
    record = run.record
    missing = not_loaded(record, registry)
    if missing is not None:
        raise InputError(f"run {run.name} cannot be evaluated here: {missing}")
    if not record.files:
        raise InputError(
            f"run {run.name} does not keep the files of its recipe",
            hint="add the evaluations to the recipe, and run it: other steps are cached",
        )
    try:
        return compile_kept(
            run.folder / "recipe", record.files, settings, registry, None, allow_breaches=True
        )
    except RecipeError as error:
        raise file.located(error) from None


def _check_keys(run: Run, compiled: Compiled) -> None:
    """Refuse to run anything but evaluations.

    Raises:
        InputError: a step has another key than on record, or there is nothing to add.
        StoreError: the store lacks the result of a step that is no evaluation.
    """
    plan = compiled.plan
    recorded = {step.name: step.result.key for step in run.record.steps}
    for step in plan.steps:
        if not step.name.startswith(EVALUATIONS) and recorded.get(step.name) != step.key:
            raise InputError(
                f"{step.name} has another key than on record: what is installed here is not what "
                f"run {run.name} was made with",
                hint="`recipe diff` of the run and the recipe says what differs; "
                "run the recipe again to train with what is installed",
            )
    if plan.recipe_hash == run.recipe_hash:
        hint = f"see them with `recipe predictions {run.name}`"
        raise InputError(f"run {run.name} has these evaluations already", hint=hint)
    lost = [step for step in pending(plan, run.store) if not _may_run(step, compiled)]
    if lost:
        raise StoreError(
            f"{run.store.root} does not have the result of {lost[0].name} any more",
            hint="run the recipe again, which computes it again",
        )


def _may_run(step: PlanStep, compiled: Compiled) -> bool:
    """Return whether a step is an evaluation, or brings bytes that are pinned and not here."""
    if step.name.startswith(EVALUATIONS):
        return True
    if step.kind != "source":
        return False
    return not compiled.registry.get("source", step.plugin.name).plugin.local  # type: ignore[attr-defined]
