"""Open the operands of a diff: a recipe, a run or its record, or a recipe at a git revision."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ..compiler.bind import bound_model
from ..compiler.lower import lower
from ..compiler.plan_graph import is_current
from ..compiler.until import ending_with, last_step
from ..plugins.registry import Registry
from ..runtime.audit.plugin_files import not_loaded, registry_of
from ..runtime.store.runs import RECORD
from ..runtime.store.store import Store
from ..schema.errors import InputError, RecipeError
from ..schema.lock import Lock, Material
from ..schema.plan import Plan
from ..schema.recipe import Recipe
from ..schema.record import Record, StepResult
from .bundled_recipes import is_shipped
from .forecast import forecast
from .revisions import open_revision, revision_of
from .run_lookup import exact_run, run_by_part
from .session import Session, open_session, store_folder

EFFECTS = ("rows", "tokens", "steps", "gpu_memory_bytes", "seconds")
"""Keys of an estimate that a difference may affect."""


@dataclass(frozen=True)
class Operand:
    """One of the two sides of a comparison.

    `folders` has the folder that each source's relative paths start in, where that is known;
    `results` has, by step, the known result.
    """

    registry: Registry
    recipe: Recipe
    plan: Plan
    folders: Mapping[str, Path]
    results: Mapping[str, StepResult | None]
    record: Record | None = None
    session: Session | None = None

    def pinned_like(self, other: Operand) -> Operand:
        """Return this recipe with the other's pins for identical requests in the same place.

        A variant that was never locked then reruns only what it changes. A record stays as it is.
        """
        if self.session is None:
            return self
        theirs = {step.name: step.material for step in other.plan.steps if step.material}
        pins: dict[str, Material] = {}
        for step in self.plan.steps:
            pin = step.material or theirs.get(step.name)
            if pin is None or not is_current(pin, step.plugin):
                continue
            if step.material or self._same_place(step.name, other):
                pins[step.name] = pin
        lock = Lock(recipe=self.recipe.name, language=self.recipe.recipe, materials=pins)
        plan = lower(self.recipe, self.registry, lock)
        compiled = replace(self.session.compiled, plan=plan)
        return operand_of(replace(self.session, compiled=compiled))

    def known(self, device: str | None) -> dict[str, Any]:
        """Return the recipe's size and cost as far as known, else null.

        Of a run, its measurements; of a recipe, counts in its store or estimates.
        """
        if self.session is not None:
            try:
                found = forecast(self.session, device).estimate.to_json()
                return {key: found[key] for key in EFFECTS}
            except RecipeError:
                pass  # the base that lies here cannot do this; `recipe plan` says why
        train, split, pack = (self.results.get(name) for name in ("train", "split", "pack"))
        packed: Any = pack.facts["train"] if pack else None
        measured: dict[str, Any] = train.measured if train else {}
        on_gpu = str(measured.get("device", "cpu")).split()[0] != "cpu"
        came_to = {
            "rows": split.facts["rows_out"] if split else None,
            "tokens": packed["tokens"] if packed else None,
            "gpu_memory_bytes": measured.get("peak_memory_bytes") if on_gpu else None,
            "seconds": measured.get("seconds"),
        }
        return {key: came_to.get(key) for key in EFFECTS}

    def _same_place(self, name: str, other: Operand) -> bool:
        step = self.plan.step(name)
        source: Any = self.registry.get("source", step.plugin.name).plugin
        return not source.local or other.folders.get(name) == self.folders[name]


def open_operand(
    text: str,
    *,
    store: str | Path | None = None,
    settings: Sequence[str] = (),
    allow_local_plugins: bool = False,
) -> Operand:
    """Return the recipe, run or record that a text names.

    A file or folder that is there comes first; then `REV:path` of git; then a run in the store by
    its name or `latest`; then a recipe that ships; then a run by a part of its name.
    `allow_local_plugins` runs the plugin files that a run contains.

    Raises:
        InputError: it is none of these, or it is wrong.
    """
    path = Path(text)
    if path.is_dir() and (path / RECORD).is_file():
        return _of_record(path / RECORD, settings, allow_local_plugins)
    if path.is_file() and _is_record(path):
        return _of_record(path, settings, allow_local_plugins)
    if not path.exists() and revision_of(text):
        return operand_of(open_revision(text, store=store, settings=settings))
    usual = Store(store_folder(store))
    run = None if path.exists() else exact_run(usual, text)
    if run is None and not path.exists() and not is_shipped(text):
        run = run_by_part(usual, text)
    if run is not None:
        return _of_record(run / RECORD, settings, allow_local_plugins)
    return operand_of(open_session(text, store=store, settings=settings))


def _is_record(path: Path) -> bool:
    """Return whether a file is a record: a JSON object with `record`, which no recipe has."""
    raw = path.read_bytes()
    if not raw.lstrip().startswith(b"{"):
        return False
    try:
        return "record" in json.loads(raw)
    except ValueError:
        return False


def operand_of(session: Session) -> Operand:
    """Return a recipe as one side of a comparison."""
    compiled = session.compiled
    return Operand(
        session.registry,
        compiled.recipe,
        compiled.plan,
        compiled.folders,
        _kept(compiled.plan, session.store),
        session=session,
    )


def _kept(plan: Plan, store: Store) -> dict[str, StepResult | None]:
    return {step.name: store.result(step.key) for step in plan.steps}


def _of_record(path: Path, settings: Sequence[str], allow_local_plugins: bool) -> Operand:
    record = Record.from_json(path.read_bytes(), str(path))
    if settings:
        raise InputError(
            f"{path} is what happened: nothing can be set in it",
            hint="give the recipe as B, and --set what differs",
        )
    if record.bound is None:
        raise InputError(
            f"{path} does not hold the recipe that ran",
            hint="it is from before records did; compare the files in the run's `recipe` folder",
        )
    registry = registry_of(path.parent, record, allow=allow_local_plugins)
    missing = not_loaded(record, registry)
    if missing is not None:
        raise InputError(f"{path}: its recipe cannot be read: {missing}")
    try:
        recipe = bound_model(registry).model_validate_json(json.dumps(record.bound), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        made = ", ".join(f"{plugin.name} {plugin.version}" for plugin in record.plugins)
        raise InputError(
            f"{path}: its recipe does not fit the installed plugins: {place}: {first['msg']}",
            hint=f"it was run with {made}",
        ) from None
    results = {step.name: step.result for step in record.steps}
    return Operand(registry, recipe, _recorded(recipe, registry, record), {}, results, record)


def _recorded(recipe: Recipe, registry: Registry, record: Record) -> Plan:
    """Return the plan that ran: lowered again, with the bytes, versions and keys on record."""
    asked = {step.name: step.plugin for step in _lowered(recipe, registry, None, record).steps}
    materials = {}
    for step in record.steps:
        ref = asked.get(step.name)
        output = step.result.outputs.get("files")
        if step.kind == "source" and ref is not None and output is not None:
            files = [
                {"path": name, "size": file.size, "sha256": file.sha256}
                for name, file in sorted(output.files.items())
            ]
            made = {"use": ref.name, "request": ref.request(), "files": files}
            materials[step.name] = Material.model_validate(made)
    lock = Lock(recipe=recipe.name, language=recipe.recipe, materials=materials)
    plan = _lowered(recipe, registry, lock, record)
    happened = {step.name: step for step in record.steps}
    steps = []
    for planned in plan.steps:
        found = happened.get(planned.name)
        if found is not None:
            plugin = planned.plugin.model_copy(update={"version": found.version})
            update = {"key": found.result.key, "seed": found.seed, "plugin": plugin}
            planned = planned.model_copy(update=update)
        steps.append(planned)
    return plan.model_copy(update={"steps": tuple(steps), "recipe_hash": record.recipe_hash})


def _lowered(recipe: Recipe, registry: Registry, lock: Lock | None, record: Record) -> Plan:
    """Return the plan of a recorded recipe, as far as it was run."""
    plan = lower(recipe, registry, lock)
    last = None if record.until is None else last_step(plan, record.until)
    return plan if last is None else ending_with(plan, last)
