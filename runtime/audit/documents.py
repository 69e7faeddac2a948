"""The levels that follow from documents alone: recipe, plan and environment."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue

from ...schema.audit import Finding, LevelReport
from ...schema.digest import file_sha256
from ...schema.lock import Distribution
from ...schema.plan import Plan, PlanStep, PluginRef, recipe_hash, source_key, step_key
from ...schema.record import RecordedStep
from ..environment import environment
from .audited_run import MADE, OPTIONAL, Claim, copied_folders, unknown_files


@dataclass(frozen=True)
class Lowered:
    """A recipe compiled again.

    Attributes:
        plan: its plan, if it compiles.
        bound: its bound form.
        source: the text that was compiled, in words.
        until: the step that the plan ends with, where that is not the recipe's last one.
        fault: a finding that contradicts the claim, such as a file that does not compile.
        why_not: why it could not be compiled here, which contradicts nothing.
    """

    plan: Plan | None = None
    bound: dict[str, Any] | None = None
    source: str = "compiled again"
    until: str | None = None
    fault: Finding | None = None
    why_not: str = ""


Lower = Callable[[Claim], Lowered]
"""Compiles a claim's recipe again; passed in by a caller that has the compiler."""

Installed = Callable[[Claim], Sequence[Distribution]]
"""Returns the installed distributions of a claim's plugins; passed in by a caller."""


def nothing_installed(_: Claim) -> Sequence[Distribution]:
    """Know of no plugins."""
    return ()


def diverged(level: str, checked: int, findings: list[Finding], **rest: Any) -> LevelReport:
    """Return the report of a level with findings."""
    return LevelReport(
        level=level,
        verdict="diverged",
        checked=checked,
        where=findings[0].where(),
        findings=tuple(findings),
        **rest,
    )


def audit_recipe(claim: Claim, lower: Lower) -> LevelReport:
    """Compare the recipe's files with their digests, and the plan with what they compile to."""
    findings = list(_files(claim))
    checked = len(claim.record.files)
    if not findings:
        lowered = lower(claim)
        if lowered.fault is not None:
            return diverged("recipe", checked + 1, [lowered.fault], basis="derived")
        if lowered.plan is None:
            return LevelReport(
                level="recipe",
                verdict="unverifiable",
                basis="hashed",
                checked=checked,
                detail=lowered.why_not,
            )
        checked += 1 + len(lowered.plan.steps)
        findings = list(_compiled(claim, lowered))
    if findings:
        return diverged("recipe", checked, findings, basis="derived")
    return LevelReport(
        level="recipe",
        verdict="identical",
        basis="derived",
        checked=checked,
        detail=lowered.source,
    )


def _files(claim: Claim) -> Iterator[Finding]:
    """Yield each recipe file that is not as recorded, then each that nothing declares."""
    copies = tuple(f"{folder}/" for folder in copied_folders(claim))  # compared at their own levels
    for name in unknown_files(claim):
        if not name.startswith(copies):
            yield Finding(at=f"file {name}", claimed=None, derived="a file that no document names")
    for file in claim.record.files:
        path = claim.folder / "recipe" / file.path
        found = file_sha256(path) if path.is_file() and not path.is_symlink() else None
        if found != file.sha256:
            yield Finding(at=f"file recipe/{file.path}", claimed=file.sha256, derived=found)


def _compiled(claim: Claim, lowered: Lowered) -> Iterator[Finding]:
    assert lowered.plan is not None
    if lowered.bound is not None and claim.record.bound is not None:
        place = first_difference(claim.record.bound, lowered.bound)
        if place is not None:
            yield Finding(at=f"field {place[0]}", claimed=place[1], derived=place[2])
    keys = {step.name: step.result.key for step in claim.record.steps}
    for step in lowered.plan.steps:
        if keys.get(step.name) != step.key:
            yield Finding(step=step.name, at="key", claimed=keys.get(step.name), derived=step.key)
    yield from _origins(claim, lowered.plan)
    pairs: list[tuple[str, JsonValue, JsonValue]] = [
        ("recipe hash", claim.record.recipe_hash, lowered.plan.recipe_hash),
        ("name", claim.record.recipe, lowered.plan.recipe),
        ("seed", claim.record.seed, lowered.plan.seed),
        ("until", claim.record.until, lowered.until),
    ]
    if claim.plan is not None:
        pairs.append(("varies by", claim.plan.varies_by, lowered.plan.varies_by))
    if claim.plan is not None and claim.record.files:
        pairs.append(("language", claim.plan.language, lowered.plan.language))
    for what, claimed, derived in pairs:
        if claimed != derived:
            yield Finding(at=what, claimed=claimed, derived=derived)


def _origins(claim: Claim, compiled: Plan) -> Iterator[Finding]:
    """Yield each source whose origin in the plan is not the recipe's; its key binds only bytes."""
    planned = {step.name: step.plugin for step in claim.plan.steps} if claim.plan else {}
    for step in compiled.steps:
        if step.kind != "source" or step.name not in planned:
            continue
        found = first_difference(*_shared(planned[step.name], step.plugin))
        if found is not None:
            at, claimed, derived = found
            yield Finding(step=step.name, at=f"origin, {at}", claimed=claimed, derived=derived)


def _shared(one: PluginRef, other: PluginRef) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the parts of two references to a plugin that both have.

    A later version of a plugin may have other parameters, and the bytes are pinned all the same.
    """
    known = one.params.keys() & other.params.keys() if one.version == other.version else set()
    first, second = (
        {"kind": ref.kind, "name": ref.name, "params": {key: ref.params[key] for key in known}}
        for ref in (one, other)
    )
    return first, second


def audit_plan(claim: Claim) -> LevelReport:
    """Recompute every key and the recipe hash, and compare the record's steps with the plan's."""
    plan, record = claim.plan, claim.record
    if plan is None:
        missing = Finding(at="plan.json", claimed=record.recipe_hash, derived="no plan is here")
        return diverged("plan", 1, [missing], basis="derived")
    findings = list(_keys(plan))
    names = {"record": record.recipe, **({"lock": claim.lock.recipe} if claim.lock else {})}
    for what, name in names.items():
        if name != plan.recipe:
            findings.append(Finding(at=f"name of the {what}", claimed=name, derived=plan.recipe))
    derived = recipe_hash(plan.steps, plan.locked)
    for what, claimed in (("plan", plan.recipe_hash), ("record", record.recipe_hash)):
        if claimed != derived:
            findings.append(
                Finding(at=f"recipe hash of the {what}", claimed=claimed, derived=derived)
            )
    findings += _as_planned(plan, record.steps)
    if plan.seed != record.seed:
        findings.append(Finding(at="seed", claimed=record.seed, derived=plan.seed))
    checked = 3 + 2 * len(plan.steps)
    if findings:
        return diverged("plan", checked, findings, basis="derived")
    return LevelReport(
        level="plan",
        verdict="identical",
        basis="derived",
        checked=checked,
        detail=f"{len(plan.steps)} keys",
    )


def _keys(plan: Plan) -> Iterator[Finding]:
    """Yield each step whose key does not follow from its fields and its inputs' keys."""
    keys: dict[str, str] = {}
    for step in plan.steps:
        unknown = [name for _, name, _ in step.sources() if name not in keys]
        if unknown:
            yield Finding(step=step.name, at=f"input {unknown[0]}", claimed="a step before it")
            return
        keys[step.name] = _key(step, keys)
        if keys[step.name] != step.key:
            yield Finding(step=step.name, at="key", claimed=step.key, derived=keys[step.name])


def _key(step: PlanStep, keys: dict[str, str]) -> str:
    if step.kind == "source":
        return source_key(step.plugin, step.material)
    inputs = {role: f"{keys[name]}#{output}" for role, name, output in step.sources()}
    return step_key(step.kind, step.plugin, step.parts, step.settings, inputs, step.seed)


def _as_planned(plan: Plan, steps: tuple[RecordedStep, ...]) -> Iterator[Finding]:
    planned = {step.name: step for step in plan.steps}
    ran = {step.name: step for step in steps}
    for name in [*planned, *(name for name in ran if name not in planned)]:
        a, b = planned.get(name), ran.get(name)
        if a is None or b is None:
            there = "in the record only" if a is None else "in the plan only"
            yield Finding(step=name, at=there, claimed=b is not None, derived=a is not None)
            continue
        made = {name: output.kind for name, output in b.result.outputs.items()}
        due = {
            name: kind
            for name, kind in MADE.get(a.kind, made).items()
            if name in made or (a.kind, name) not in OPTIONAL
        }
        pairs: list[tuple[str, JsonValue, JsonValue]] = [
            ("outputs", dict(made), dict(due)),
            ("kind", b.kind, a.kind),
            ("plugin", b.plugin, a.plugin.name),
            ("plugin version", b.version, a.plugin.version),
            ("seed", b.seed, a.seed),
            ("key", b.result.key, a.key),
        ]
        for what, claimed, derived in pairs:
            if claimed != derived:
                yield Finding(step=name, at=what, claimed=claimed, derived=derived)


def audit_environment(claim: Claim, installed: Installed = nothing_installed) -> LevelReport:
    """Compare where the run was with where this audit is; another place makes no claim false.

    Plugins are compared by version and by the digest of their files: an editable install may have
    been another by the time of the audit, and then what it did cannot be judged here.
    """
    claimed, here = claim.record.environment, environment()
    findings = [
        Finding(at=name, claimed=claimed_value, derived=here_value)
        for name, claimed_value, here_value in _pairs(claimed, here)
        if claimed_value != here_value
    ]
    findings += _plugins(claim.record.plugins, installed(claim))
    if not findings:
        return LevelReport(
            level="environment", verdict="identical", basis="derived", checked=len(claimed)
        )
    return differs(claim, tuple(findings))


def _plugins(claimed: Sequence[Distribution], here: Sequence[Distribution]) -> Iterator[Finding]:
    """Yield distributions that differ, or that the record lacks.

    Plugin files are not installed: the run keeps them, and the recipe's level hashes them.
    """
    found = {one.name: one for one in here}
    for missing in found.keys() - {one.name for one in claimed}:
        yield Finding(at=f"plugins of {missing}", claimed=None, derived=found[missing].version)
    for one in claimed if here else ():
        if one.local:
            continue
        now = found.get(one.name)
        name = f"plugins of {one.name}"
        if now is None or now.version != one.version:
            yield Finding(at=name, claimed=one.version, derived=now.version if now else None)
        elif now.files and now.files != one.files:
            install = ", an editable install" if one.editable or now.editable else ""
            yield Finding(at=f"{name}{install}", claimed=one.files, derived=now.files)


def differs(claim: Claim, findings: tuple[Finding, ...]) -> LevelReport:
    """Return the environment's level where it is another: what depends on it cannot be judged."""
    shown = [f"{f.at} {f.claimed or 'none'} -> {f.derived or 'none'}" for f in findings]
    more = f" and {len(shown) - 3} more" if len(shown) > 3 else ""
    return LevelReport(
        level="environment",
        verdict="unverifiable",
        basis="derived",
        checked=len(claim.record.environment),
        detail=f"here it differs: {', '.join(shown[:3])}{more}",
        findings=findings,
    )


def _pairs(claimed: dict[str, Any], here: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for name in dict.fromkeys([*claimed, *here]):
        a, b = claimed.get(name), here.get(name)
        if isinstance(a, dict) and isinstance(b, dict):
            yield from _pairs(a, b)
        else:
            yield name, a, b


ABSENT = "absent"
"""Stands for a key that is not there, where the other side has it as null."""


def first_difference(a: Any, b: Any, path: str = "") -> tuple[str, Any, Any] | None:
    """Return (path, one value, the other) where two JSON values first differ.

    The two values are never equal: a key that is not there is None beside a value, `ABSENT` beside
    a null.
    """
    if isinstance(a, dict) and isinstance(b, dict):
        for name in sorted(a.keys() | b.keys()):
            if name not in a or name not in b:
                missing = ABSENT if a.get(name) is None and b.get(name) is None else None
                place = f"{path}.{name}".lstrip(".")
                return place, a.get(name, missing), b.get(name, missing)
            found = first_difference(a[name], b[name], f"{path}.{name}".lstrip("."))
            if found:
                return found
        return None
    if isinstance(a, list) and isinstance(b, list):
        for index, (one, other) in enumerate(zip(a, b, strict=False)):
            found = first_difference(one, other, f"{path}[{index}]")
            if found:
                return found
        if len(a) != len(b):
            return f"{path}[{min(len(a), len(b))}]", len(a), len(b)
        return None
    same = type(a) is type(b) and a == b
    return None if same else (path or "the value", a, b)
