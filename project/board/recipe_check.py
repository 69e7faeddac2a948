"""Check a recipe while it is edited: its diagnostics, by the usual parser, and its cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...compiler.checks.deprecations import deprecated
from ...compiler.lower import lower
from ...compiler.validate import validate
from ...plugins.registry import load_registry
from ...schema.errors import Diagnostic, KhichdiError, RecipeError
from ...schema.units import duration, gibibytes
from ..forecast import Forecast, forecast
from ..missing_files import missing_files
from ..session import Session, open_session
from .recipe_files import RecipeFolder, RecipeText

REFUSAL = "plugin files are code: start the board with --write to have it run them"


@dataclass(frozen=True)
class Checked:
    """What was found about a recipe's text."""

    errors: Sequence[Diagnostic]
    warnings: Sequence[Diagnostic]

    def as_json(self) -> dict[str, Any]:
        """Return the document that `recipe validate --json` prints."""
        return {
            "valid": not self.errors,
            "diagnostics": [one.as_json() for one in self.errors],
            "warnings": [one.as_json() for one in self.warnings],
        }


@dataclass(frozen=True)
class Estimated:
    """What a run of a recipe would take.

    Attributes:
        recipe_hash: provisional unless `locked`.
        locked: whether the bytes of every source are pinned.
        steps: the plan's steps: name, plugin, and `cached` or `to run`.
        figures: what is known of rows, tokens, memory, time and disk, each with its name.
        assumed: the assumptions behind them.
        unknown: what is not known, and why.
    """

    recipe_hash: str
    locked: bool
    steps: Sequence[tuple[str, str, str]]
    figures: Sequence[tuple[str, str]]
    assumed: Sequence[str]
    unknown: Sequence[str]


def check_text(folder: RecipeFolder, edited: RecipeText, *, plugin_files: bool) -> Checked:
    """Return everything that is wrong with a recipe's text, and warnings where nothing is.

    Args:
        folder: the board's folder.
        edited: the recipe, as it is edited.
        plugin_files: whether the plugin files that it names are run.
    """
    registry = load_registry(refusal=None if plugin_files else REFUSAL)
    opener = folder.opener(edited)
    try:
        valid = validate(_named(edited), folder.root, opener, registry)
        plan = lower(valid.recipe, valid.registry, None)
        warnings = [
            *deprecated(valid.loaded, valid.registry),
            *missing_files(valid.loaded, valid.recipe, plan, valid.registry),
        ]
        return Checked((), tuple(dict.fromkeys(warnings)))
    except RecipeError as error:
        return Checked(tuple(dict.fromkeys(error.diagnostics)), ())
    except KhichdiError as error:
        place = (error.file or edited.name, error.line or 1, error.column or 1)
        return Checked((Diagnostic(*place, error.code, error.message, error.hint),), ())


def estimate_text(
    folder: RecipeFolder, edited: RecipeText, store: Path, *, plugin_files: bool
) -> Estimated:
    """Return what a run of a valid recipe would take, as far as its store and base tell.

    Raises:
        InputError: the recipe is wrong, or its base cannot do what it asks.
    """
    session = open_session(
        _named(edited),
        store=store,
        allow_breaches=True,
        opener=folder.opener(edited),
        refusal=None if plugin_files else REFUSAL,
    )
    found = forecast(session)
    return Estimated(
        recipe_hash=session.compiled.plan.recipe_hash,
        locked=session.compiled.plan.locked,
        steps=_steps(session),
        figures=list(_figures(found)),
        assumed=found.estimate.assumed,
        unknown=found.estimate.unknown,
    )


def _named(edited: RecipeText) -> str:
    """Return the name that the text is opened by: of a file here, or of one that ships."""
    return edited.name if edited.shipped else f"./{edited.name}"


def _steps(session: Session) -> list[tuple[str, str, str]]:
    return [
        (step.name, step.plugin.name, "cached" if session.store.result(step.key) else "to run")
        for step in session.compiled.plan.steps
    ]


def _figures(found: Forecast) -> list[tuple[str, str]]:
    estimate = found.estimate
    figures: list[tuple[str, str]] = []
    for name in ("rows", "tokens", "steps"):
        count = getattr(estimate, name)
        if count is not None:
            figures.append((name, f"{count:,}"))
    if estimate.memory is not None:
        figures.append(("memory", gibibytes(estimate.memory.total)))
    if estimate.seconds is not None:
        figures.append(("training", duration(estimate.seconds)))
    if estimate.device is not None:
        figures.append(("device", estimate.device))
    return figures
