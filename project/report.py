"""Write a run, or two side by side, as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from ..compiler.yaml.writer import layout
from ..runtime.audit.plugin_files import not_loaded, registry_of
from ..schema.audit import AuditReport
from ..schema.errors import InputError, KhichdiError, StoreError
from .curation import open_rows, statistics_of
from .diff_operands import open_operand
from .difference import difference
from .predictions import ScoredRow, evaluator_and_side, is_right, right_scores, scored_rows
from .recipe_origins import origins
from .recompile import compile_kept
from .run_lookup import Run, open_run

if TYPE_CHECKING:
    from ..runtime.curation.statistics import Statistics
    from ..runtime.report.row_browsers import Answer
    from ..runtime.report.run_page import Reported


def report_run(
    run: str | Path, *, audit: str | Path | None = None, store: str | Path | None = None
) -> tuple[Run, str]:
    """Return a run and its page.

    Args:
        run: a run, as `open_run` takes it.
        audit: a report of an audit of this run, as `recipe audit --json` prints it.
        store: the store's folder; left out, found as `store_folder` says.

    Raises:
        InputError: there is no such run, or the audit is of another one.
    """
    from ..runtime.report.run_page import run_page

    past = open_run(run, store=store)
    found = _read_audit(Path(audit), past) if audit is not None else None
    return past, run_page(reported(past, found))


def compare_runs_page(
    one: str | Path, other: str | Path, *, store: str | Path | None = None
) -> tuple[Run, Run, str]:
    """Return two runs and the page that compares them.

    Raises:
        InputError: there is no such run, or its recipe cannot be read with the installed plugins.
    """
    from ..runtime.report.compare_page import ChangedValue, compare_page

    first, second = open_run(one, store=store), open_run(other, store=store)
    a, b = (open_operand(str(run.folder), store=run.store.root) for run in (first, second))
    found = difference(a, b).changes
    changes = [ChangedValue(each.path, each.before, each.after) for each in found]
    return first, second, compare_page(reported(first), reported(second), changes)


def reported(past: Run, audit: AuditReport | None = None) -> Reported:
    """Return a run with everything that a page says about it."""
    from ..runtime.report.run_page import Reported

    return Reported(
        name=past.name,
        plan=past.plan(),
        record=past.record,
        store=past.store,
        statistics=_statistics(past),
        claims=past.claims(),
        claimed_metrics=past.claimed_metrics(),
        recipe=recipe_lines(past),
        evaluations=_evaluations(past),
        audit=audit,
    )


def _evaluations(past: Run) -> dict[str, dict[str, list[Answer]]]:
    """Return the answers of each evaluator by the model that gave them, as far as they are here."""
    found: dict[str, dict[str, list[Answer]]] = {}
    for step in past.evaluations:
        name, side = evaluator_and_side(step)
        try:
            rows = scored_rows(past.predictions(step), lambda: past.rows("validation"))
        except (KhichdiError, OSError):  # the store lost them
            continue
        found.setdefault(name, {})[side] = _answers(rows)
    return {name: sides for name, sides in found.items() if any(sides.values())}


def _answers(rows: Sequence[ScoredRow]) -> list[Answer]:
    from ..runtime.report.row_browsers import Answer

    try:
        scores = right_scores(rows)
    except InputError:  # no score says which answers are right
        scores = {}
    return [
        Answer(row.id, row.prompt, row.references, row.prediction, is_right(row, scores), row.group)
        for row in rows
    ]


def recipe_lines(past: Run) -> Sequence[tuple[str, str]]:
    """Return the lines of the recipe that ran, each with the place that its value comes from.

    Places are left out where the recipe cannot be compiled here, such as without its plugins, and
    lines where the record does not hold the recipe.
    """
    record = past.record
    if record.bound is None:
        return []
    lines = layout(record.bound)
    try:
        registry = registry_of(past.folder, record, allow=False)
        if not record.files or not_loaded(record, registry) is not None:
            return [(line.text, "") for line in lines]
        home, settings = past.folder / "recipe", record.settings
        loaded = compile_kept(
            home, record.files, settings, registry, None, allow_breaches=True
        ).loaded
    except (KhichdiError, ValidationError):
        return [(line.text, "") for line in lines]
    own = f"{past.name}/recipe/"  # the run's own copy, wherever the run lies
    found = [origin.rpartition(own)[2] for origin in origins(lines, loaded)]
    return [(line.text, origin) for line, origin in zip(lines, found, strict=True)]


def _statistics(past: Run) -> Statistics | None:
    """Return statistics of the rows that a run ended with; None where the store lost them."""
    try:
        _, rows = open_rows(past.folder, store=past.store.root)
        return statistics_of(past, rows)
    except (StoreError, InputError, StopIteration):
        return None


def _read_audit(path: Path, past: Run) -> AuditReport:
    """Read the report of an audit, which has to be of this run.

    Raises:
        InputError: it cannot be read, or is of another run.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        hint = "write one with `recipe audit RUN --json > audit.json`"
        raise InputError(f"{path} cannot be read: {error.strerror}", hint=hint) from None
    found = AuditReport.from_json(raw, str(path))
    if (found.recipe_hash, found.result_hash) != (past.recipe_hash, past.result_hash):
        raise InputError(f"{path} is an audit of another run: of result {found.result_hash}")
    return found
