"""Recompile the recipe that a run claims to be made of."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from ..compiler.bind import bound_model
from ..compiler.compile import Compiled, compile_recipe
from ..compiler.lower import lower
from ..compiler.until import ending_with, last_step
from ..plugins.kinds import KINDS
from ..plugins.registry import Registry
from ..runtime.audit.audited_run import Claim
from ..runtime.audit.documents import Lowered
from ..runtime.audit.plugin_files import not_loaded
from ..schema.audit import Finding
from ..schema.errors import InputError, KhichdiError
from ..schema.lock import Lock
from ..schema.record import RecipeFile
from .bundled_recipes import open_recipe

SHOWN = 3
"""Files and settings that a report names."""


def lower_again(claim: Claim, registry: Registry) -> Lowered:
    """Compile a claim's recipe: from its files where it has any, else from its bound form.

    Pins are taken from the plan: whether the lock agrees is checked at another level.
    """
    record = claim.record
    refused = not_loaded(record, registry)
    if refused is not None:
        return Lowered(why_not=refused)
    if not record.files and record.bound is None:
        return Lowered(why_not="the record does not hold the recipe that ran")
    missing = _missing_plugins(claim, registry)
    try:
        compiled = _from_files(claim, registry) if record.files else _from_record(claim, registry)
        # Another version of a source gives the same bytes; of any other plugin, another key.
        other = [words for kind, words in missing if kind != "source"]
        return Lowered(why_not=other[0]) if other else compiled
    except ValidationError as error:
        first = error.errors()[0]
        fault = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    except KhichdiError as error:
        fault = str(error)
    if missing:
        return Lowered(why_not=f"{missing[0][1]}: {fault}")
    return Lowered(fault=Finding(at="the recipe's text", claimed="compiles", derived=fault))


def _missing_plugins(claim: Claim, registry: Registry) -> list[tuple[str, str]]:
    """Return the plan's plugins that are not installed in their version: the kind, and words."""
    found = []
    for step in claim.plan.steps if claim.plan else ():
        for ref in (step.plugin, *step.parts.values()):
            if ref.kind not in KINDS:
                continue
            known = ref.name in registry.names(ref.kind)
            here = registry.get(ref.kind, ref.name).plugin.version if known else None
            if here != ref.version:
                words = f"version {here} is installed" if known else "which is not installed"
                named = f"it needs version {ref.version} of {ref.kind} `{ref.name}`, {words}"
                found.append((ref.kind, named))
    return found


def _from_record(claim: Claim, registry: Registry) -> Lowered:
    """Compile the bound recipe that the record holds.

    Raises:
        ValidationError, KhichdiError: it does not compile.
    """
    recipe = bound_model(registry).model_validate(claim.record.bound)
    source = "compiled from the record; the recipe's files are not kept"
    plan, until = lower(recipe, registry, _lock(claim)), claim.record.until
    last = None if until is None else last_step(plan, until)
    plan = plan if last is None else ending_with(plan, last)
    return Lowered(plan, recipe.to_json(), source, until=last)


def _from_files(claim: Claim, registry: Registry) -> Lowered:
    """Compile the recipe's files, each opened in the order in which the run opened it.

    Raises:
        KhichdiError: they do not compile, or are not the files that the recipe extends.
    """
    record = claim.record
    compiled = compile_kept(
        claim.folder / "recipe",
        record.files,
        record.settings,
        registry,
        _lock(claim),
        until=record.until,
    )
    source = f"compiled again from {_listed([file.path for file in record.files])}"
    if record.settings:
        source += f" with --set {_listed(record.settings)}"
    if compiled.until is not None:
        source += f", up to {compiled.until}"
    return Lowered(compiled.plan, compiled.recipe.to_json(), source, until=compiled.until)


def compile_kept(
    folder: Path,
    files: Sequence[RecipeFile],
    settings: Sequence[str],
    registry: Registry,
    lock: Lock | None,
    *,
    allow_breaches: bool = False,
    until: str | None = None,
) -> Compiled:
    """Compile the files of a recipe that a run keeps, with values set as by `--set`.

    Raises:
        KhichdiError: they do not compile, or are not the files that the recipe extends.
    """
    home, kept = folder.resolve(), list(files)

    def open_kept(name: str, _: Path) -> tuple[Path, bytes]:
        if not kept or not _same_file(name, kept[0].path):
            raise InputError(f"{name} is not among the run's files")
        path = home / kept.pop(0).path
        return open_recipe(str(path), home)

    compiled = compile_recipe(
        files[0].path,
        home,
        open_kept,
        registry,
        lock,
        settings,
        allow_breaches,
        until=until,
    )
    if kept:
        raise InputError(f"the recipe does not extend {kept[0].path}")
    return compiled


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(names[:SHOWN])}{more}"


def _same_file(name: str, kept: str) -> bool:
    """Return whether a kept file can be the one that was written as `name`.

    A run keeps files that lie outside the recipe's folder by their name, numbered where it clashes.
    """
    stem = Path(name).name.removesuffix(".yaml")
    found = Path(kept).name.removesuffix(".yaml")
    return found == stem or re.fullmatch(rf"\d+(-{re.escape(stem)})?", found) is not None


def _lock(claim: Claim) -> Lock | None:
    if claim.plan is None:
        return claim.lock
    materials = {step.name: step.material for step in claim.plan.steps if step.material}
    return Lock(recipe=claim.plan.recipe, language=claim.plan.language, materials=materials)
