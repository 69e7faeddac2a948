"""Plan a recipe: which steps are cached, which have to run and why, and the forecast of them."""

from __future__ import annotations

from dataclasses import dataclass

from ..compiler.checks.rules import rule_warnings
from ..plugins.kinds import Breach, Launch
from ..runtime.sources.pin import check_local
from ..schema.errors import Diagnostic
from ..schema.plan import Plan
from ..schema.record import StepResult
from .cache_misses import CacheMisses, cache_misses
from .forecast import Forecast, forecast
from .missing_files import missing_files
from .session import Session


@dataclass(frozen=True)
class Planned:
    """A plan beside the store that it would run in.

    Attributes:
        session: the recipe.
        forecast: the estimated cost of the run.
        results: by step, the cached result, or None where the step has to run.
        misses: why steps have to run again; None where none does, or the recipe never ran here.
        doubts: by rule of the recipe, what may break it.
        missing: folders and files of its sources that are not on this machine.
    """

    session: Session
    forecast: Forecast
    results: dict[str, StepResult | None]
    misses: CacheMisses | None
    doubts: dict[str, list[Breach]]
    missing: tuple[Diagnostic, ...]

    @property
    def plan(self) -> Plan:
        """The plan."""
        return self.session.compiled.plan


def plan_session(
    session: Session, device: str | None = None, launch: Launch | None = None
) -> Planned:
    """Compare a plan with the store, and forecast the run for a device and processes.

    Raises:
        InputError: there is no such device.
        LockError: bytes on this machine, or plugin files, are not the locked ones any more.
        RecipeError: the base cannot do what the recipe asks.
    """
    plan, recipe = session.compiled.plan, session.compiled.recipe
    check_local(plan, session.compiled.folders, session.registry, session.lock)
    seen = forecast(session, device, launch)
    results = {step.name: session.store.result(step.key) for step in plan.steps}
    doubts = rule_warnings(recipe, session.registry, seen.architecture, seen.known)
    missing = missing_files(session.compiled.loaded, recipe, plan, session.registry)
    return Planned(session, seen, results, cache_misses(session), doubts, tuple(missing))
