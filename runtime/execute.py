"""Execute a plan: each step once, in order, reusing cached results; report progress."""

from __future__ import annotations

import errno
import logging
import os
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from ..plugins.kinds import KINDS, Launch, Progress
from ..plugins.registry import Registry
from ..plugins.side_effects import PluginError, bounded, patience, watched
from ..plugins.toolkit.torch_environment import before_torch
from ..schema.errors import InputError, KhichdiError, StepError, StoreError, WorkError
from ..schema.plan import Plan, PlanStep, PluginRef
from ..schema.record import Output, RecordedStep, StepResult
from .environment import environment, installed
from .sources.mirror import Mirror
from .steps import implementation
from .steps.context import Context, Outcome
from .store.atomic_io import from_full_disk
from .store.store import Store, store_error

log = logging.getLogger("khichdi")


class Reporter(Protocol):
    """Progress observer."""

    def started(self, step: PlanStep) -> None:
        """Take note that a step runs now."""

    def progress(self, step: PlanStep, progress: Progress) -> None:
        """Take note of how far it is."""

    def finished(self, step: RecordedStep) -> None:
        """Take note that a step is done, or was there already."""


def pending(plan: Plan, store: Store) -> list[PlanStep]:
    """Return the steps whose result the store does not have."""
    return [step for step in plan.steps if store.result(step.key) is None]


def perform(context: Context) -> Outcome:
    """Do a step as its kind does it."""
    return implementation(context.step.kind)(context)


@dataclass
class Executor:
    """Runs the steps of one plan in one store.

    `folders` has, for each source, the folder that its relative paths start in; `mirror` is asked
    for bytes instead of the places that sources name; `perform` does a step; `launch` has the
    processes that a training is divided over, if more than this one.
    """

    plan: Plan
    store: Store
    registry: Registry
    folders: Mapping[str, Path]
    reporter: Reporter
    mirror: Mirror | None = None
    perform: Callable[[Context], Outcome] = perform
    launch: Launch | None = None
    done: dict[str, RecordedStep] = field(default_factory=dict)

    def run(self) -> list[RecordedStep]:
        """Run the steps that are not in the store, and return all in the plan's order.

        Raises:
            KhichdiError: a step failed; what was done before it stays in the store.
        """
        self._check_requirements()
        self._check_launch()
        with self.store.shared():
            for step in self.plan.steps:
                recorded = self._cached(step) or self._run(step)
                self.done[step.name] = recorded
                self.reporter.finished(recorded)
        return list(self.done.values())

    def _check_requirements(self) -> None:
        """Refuse to begin steps whose packages are missing, rather than fail hours later."""
        missing: dict[str, str] = {}
        for step in pending(self.plan, self.store):
            for ref in (step.plugin, *step.parts.values()):
                if ref.name in self.registry.names(ref.kind):
                    needed = self.registry.get(ref.kind, ref.name).plugin.requires
                    missing |= {name: step.name for name in needed if not installed(name)}
        if missing:
            first = next(iter(missing))
            raise WorkError(
                f"{missing[first]} needs packages that are not installed: {', '.join(missing)}",
                hint="install them, or all that training needs with `pip install 'khichdi[train]'`",
            )

    def _check_launch(self) -> None:
        """Refuse several processes for a runtime that trains in one."""
        if self.launch is None or self.launch.size == 1:
            return
        for step in pending(self.plan, self.store):
            if step.kind != "runtime":
                continue
            runtime = self.registry.get(step.kind, step.plugin.name).plugin
            if not getattr(runtime, "launches", False):
                raise InputError(
                    f"{step.name}: the runtime `{step.plugin.name}` trains in one process",
                    hint="leave --launch out",
                )

    def _cached(self, step: PlanStep) -> RecordedStep | None:
        result = self.store.result(step.key)
        if result is None:
            return None
        if step.material is not None:
            _check_pins(step, result)
        self.store.mark_used(step.key)
        return _recorded(step, result, "cached", 0.0)

    def _run(self, step: PlanStep) -> RecordedStep:
        self.reporter.started(step)
        start = time.monotonic()
        inputs = {role: self._input(role, *rest) for role, *rest in step.sources()}
        with self.store.work(step.key) as work, self.store.staging() as staging:
            context = Context(
                step=step,
                inputs=inputs,
                staging=staging,
                work=work,
                origin=self.folders.get(step.name),
                registry=self.registry,
                report=lambda progress: self.reporter.progress(step, progress),
                mirror=self.mirror,
                launch=self.launch,
            )
            outcome = guarded(context, self.perform)
            outputs = {
                name: self.store.publish(made.folder, made.kind, made.digest)
                for name, made in outcome.outputs.items()
            }
            seconds = time.monotonic() - start
            result = StepResult.model_validate(
                {
                    "key": step.key,
                    "outputs": outputs,
                    "facts": outcome.facts,
                    "measured": {**outcome.measured, "seconds": round(seconds, 3)},
                    "environment": environment(),
                }
            )
            self.store.keep(result)
        return _recorded(step, result, "ran", seconds)

    def _input(self, role: str, name: str, output_name: str) -> Path:
        """Return the folder of an input, its bytes checked.

        A damaged artifact is removed, so that the next run makes it again; this run cannot go on
        from it.
        """
        output: Output = self.done[name].result.outputs[output_name]
        damaged = self.store.check(output)
        if damaged:
            again = "it was removed; run again, and the step that made it runs again"
            raise StoreError(
                f"the store's copy of {name}#{output_name} is damaged: {damaged[0]}",
                hint=again if self.store.drop(output) else "fix it with `recipe store repair`",
            )
        return self.store.folder(output)


def _check_pins(step: PlanStep, result: StepResult) -> None:
    """Refuse a source in the store that holds other files than the lock pins, or more."""
    assert step.material is not None
    pinned = {file.path: (file.size, file.sha256) for file in step.material.files}
    for output in result.outputs.values():
        if {path: (file.size, file.sha256) for path, file in output.files.items()} != pinned:
            raise StoreError(
                f"the store's copy of {step.name} does not hold exactly the pinned files",
                hint="see `recipe store verify`",
            )


def guarded(context: Context, perform: Callable[[Context], Outcome]) -> Outcome:
    """Run a step; whatever it raises becomes an error that names step and plugin."""
    try:
        return _watched(context, perform)
    except KhichdiError as error:
        if isinstance(error, StepError) and not error.message.startswith(context.step.name):
            hint = error.hint
            if isinstance(error, PluginError) and not isinstance(error.__cause__, KhichdiError):
                hint = hint or _in_plugin(context)
            if error.__cause__ is not None:
                log.error("step %s failed", context.step.name, exc_info=error)
            named = context.fail(_with_row(error), hint, _blamed(context, error))
            named.file, named.line, named.column = error.file, error.line, error.column
            raise named from error
        raise
    except ModuleNotFoundError as error:
        log.exception("step %s failed", context.step.name)
        raise context.fail(
            f"the package `{error.name}` is not installed",
            "install what training needs with `pip install 'khichdi[train]'`",
        ) from error
    except OSError as error:
        log.exception("step %s failed", context.step.name)
        raise store_error(error, context.step.name) from error
    except Exception as error:
        log.exception("step %s failed", context.step.name)
        raise context.fail(
            f"{type(error).__name__}: {error}",
            _in_plugin(context),
            _blamed(context, error),
        ) from error


def _watched(context: Context, perform: Callable[[Context], Outcome]) -> Outcome:
    """Run a step; refuse what its plugins do beside, and stop one that gives no sign."""
    before_torch()  # sets a variable, and is not the plugin's doing
    with (
        watched(context.inputs.values()),
        bounded(patience(context.step.kind)) as sign,
    ):

        def report(progress: Progress) -> None:
            sign()
            context.report(progress)

        try:
            return perform(replace(context, report=report))
        except Exception as error:
            if not isinstance(error, OSError | StoreError) and from_full_disk(error, context.work):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
            raise


def _with_row(error: StepError) -> str:
    row = error.row if isinstance(error, PluginError) else None
    return error.message if row is None else f"row {row}: {error.message}"


def _blamed(context: Context, error: BaseException) -> PluginRef:
    """Return the plugin whose code an error came from: the step's own, or one of its parts."""
    if isinstance(error, PluginError) and error.plugin is not None:
        return error.plugin
    step = context.step
    modules = {}
    for ref in (*step.parts.values(), step.plugin):
        if ref.kind in KINDS and ref.name in context.registry.names(ref.kind):
            modules[context.registry.get(ref.kind, ref.name).plugin.__module__] = ref
    found = step.plugin
    for frame, _ in traceback.walk_tb(error.__traceback__):
        found = modules.get(frame.f_globals.get("__name__", ""), found)
    return found


def _in_plugin(context: Context) -> str:
    """Return whose fault it is, as a hint."""
    plugin = context.step.plugin
    who = "khichdi itself"
    if plugin.name in context.registry.names(plugin.kind):
        found = context.registry.get(plugin.kind, plugin.name)
        who = f"the plugin, from {found.distribution.name} {found.distribution.version}"
    return f"this is a fault in {who}; the run's log has the traceback, KHICHDI_DEBUG=1 shows it"


def _recorded(step: PlanStep, result: StepResult, status: str, seconds: float) -> RecordedStep:
    return RecordedStep.model_validate(
        {
            "name": step.name,
            "kind": step.kind,
            "plugin": step.plugin.name,
            "version": step.plugin.version,
            "seed": step.seed,
            "status": status,
            "seconds": round(seconds, 3),
            "result": result,
        }
    )
