"""Recompile the recipe that a run claims to be made of."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from ..compiler.bind import bound_model
from ..compiler.compile import compile_recipe
from ..compiler.lower import lower
from ..plugins.registry import Registry
from ..runtime.audit.audited_run import Claim
from ..runtime.audit.documents import Lowered
from ..runtime.audit.plugin_files import not_loaded
from ..schema.errors import InputError, KhichdiError
from ..schema.lock import Lock
from .bundled_recipes import open_recipe


def lower_again(claim: Claim, registry: Registry) -> Lowered:
    """Compile a claim's recipe: from its files, else from the bound form in the record.

    What is pinned is taken from the plan: whether the lock says so too is another level's matter.
    """
    record = claim.record
    missing = not_loaded(record, registry)
    if missing is not None:
        return Lowered(why_not=missing)
    try:
        if record.files:
            found = _from_files(claim, registry)
            if found is not None:
                return found
        if record.bound is None:
            return Lowered(why_not="the record does not hold the recipe that ran")
        recipe = bound_model(registry).model_validate(record.bound)
        return Lowered(lower(recipe, registry, _lock(claim)), recipe.to_json())
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        return Lowered(
            why_not=f"its recipe does not fit the installed plugins: {place}: {first['msg']}"
        )
    except KhichdiError as error:
        return Lowered(why_not=f"it cannot be compiled here: {error.message}")


def _from_files(claim: Claim, registry: Registry) -> Lowered | None:
    """Compile the recipe's files; None where one that it extends lay elsewhere."""
    home = (claim.folder / "recipe").resolve()

    def open_kept(name: str, folder: Path) -> tuple[Path, bytes]:
        path, raw = open_recipe(name, folder)
        if not path.is_relative_to(home):
            raise InputError(f"{name} is not among the run's files")
        return path, raw

    first = claim.record.files[0].path
    try:
        compiled = compile_recipe(
            str(home / first), home, open_kept, registry, _lock(claim), claim.record.settings
        )
    except InputError:
        return None
    return Lowered(compiled.plan, compiled.recipe.to_json())


def _lock(claim: Claim) -> Lock | None:
    if claim.plan is None:
        return claim.lock
    materials = {step.name: step.material for step in claim.plan.steps if step.material}
    return Lock(recipe=claim.plan.recipe, language=claim.plan.language, materials=materials)
