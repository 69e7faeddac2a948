"""Audit a run: re-derive what it claims, level by level, from documents, bytes or execution."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..plugins.registry import Registry, load_registry
from ..runtime.audit.audit import audit, audit_again, audit_segments
from ..runtime.audit.audited_run import Claim
from ..runtime.audit.documents import Lowered
from ..runtime.audit.figures import by_plugins
from ..runtime.audit.plugin_files import registry_of
from ..runtime.sources.mirror import Mirror
from ..runtime.store.store import Store
from ..runtime.tempdirs import scratch_folder
from ..schema.audit import LEVELS, AuditReport
from ..schema.errors import InputError, RegistryError
from ..schema.lock import Distribution
from ..schema.record import RecordedStep
from ..schema.secrets import masked
from .model_card import derived_texts
from .observer import Observer
from .recompile import lower_again

if TYPE_CHECKING:
    from ..runtime.calibration.judge import CalibratedTolerance


@dataclass(frozen=True)
class AuditOptions:
    """How far an audit goes.

    Attributes:
        level: go no further than this level.
        rerun: execute every step again from the pinned bytes.
        segments: execute so many segments of the training again.
        nonce: decides which segments are drawn; None draws one from the operating system.
        data: where relative paths of sources start, if the run's bytes are not here.
        scratch: the folder for temporary files.
        calibration: a file with limits for other hardware; `own` is the run's own.
        allow_local_plugins: run the plugin files that the run or bundle contains.
    """

    level: str | None = None
    rerun: bool = False
    segments: int | None = None
    nonce: str | None = None
    data: str | Path = "."
    scratch: str | Path | None = None
    calibration: str | Path | None = None
    allow_local_plugins: bool = False

    @property
    def executes(self) -> bool:
        """Whether anything is executed; else only documents and bytes are compared."""
        return bool(self.rerun or self.segments)

    def check(self) -> None:
        """Refuse options that contradict each other.

        Raises:
            InputError: they do.
        """
        if self.level is not None and self.level not in LEVELS:
            known = ", ".join(LEVELS)
            raise InputError(f"there is no level `{self.level}`", hint=f"levels: {known}")
        if self.calibration and not self.executes:
            raise InputError(
                "--calibration has limits for a rerun, and nothing is run again",
                hint="add --rerun or --segments K",
            )
        if self.segments is None:
            if self.nonce is not None:
                raise InputError("--nonce decides which segments are drawn: give --segments K too")
            return
        if self.segments < 1:
            raise InputError(f"--segments is {self.segments}, at least 1 was expected")
        if self.rerun:
            raise InputError("--rerun executes every segment: leave out --segments or --rerun")
        if self.level and LEVELS.index(self.level) < LEVELS.index("steps"):
            raise InputError(
                f"--level {self.level} stops before the steps of training, which --segments is "
                "about"
            )


def audit_claim(
    claim: Claim, options: AuditOptions, observer: Observer, mirror: Mirror | None = None
) -> AuditReport:
    """Audit a claim; the report quotes what differs, with secrets masked.

    Raises:
        InputError: the options contradict each other, or the calibration cannot be read.
        WorkError: a step cannot be executed again.
    """
    options.check()
    if options.executes and claim.plan is not None:
        found = _again(claim, options, observer, mirror)
    else:  # a run without its plan diverged already
        recompute = partial(_recompute, options)
        texts = partial(_texts, options)
        lower = partial(_lower, options)
        found = audit(claim, lower, options.level, _installed, recompute, texts)
    return AuditReport.model_validate(masked(found.to_json()))


def _again(
    claim: Claim, options: AuditOptions, observer: Observer, mirror: Mirror | None
) -> AuditReport:
    """Execute the claim's steps in a store of their own, which is removed at the end."""
    from ..runtime.audit.rerun import Rerun
    from ..runtime.audit.segments import Segments

    assert claim.plan is not None
    origin, steps = Path(options.data).resolve(), claim.plan.steps
    registry = _registry(claim, options)
    lower = partial(_lower, options)
    tolerance = _tolerance(claim, options, registry)
    with contextlib.ExitStack() as stack:
        place = str(options.scratch) if options.scratch else None
        scratch = Path(stack.enter_context(scratch_folder("audit", place)))
        stack.enter_context(observer.running(claim.plan, scratch / "log.txt", len(steps)))
        texts = partial(derived_texts, registry=registry)
        found = audit(claim, lower, options.level, _installed, by_plugins(registry), texts)
        rerun = Rerun(
            claim,
            Store(scratch / "store"),
            registry,
            {step.name: origin for step in steps if step.kind == "source"},
            observer,
            mirror,
            tolerance,
        )
        if options.segments:
            nonce = options.nonce if options.nonce is not None else secrets.token_hex(16)
            given = options.nonce is not None
            segments = Segments(rerun, options.segments, nonce, given)
            return audit_segments(claim, found, segments)
        return audit_again(claim, found, rerun, options.level)


def _tolerance(
    claim: Claim, options: AuditOptions, registry: Registry
) -> CalibratedTolerance | None:
    """Read the calibration, before anything is executed."""
    if not options.calibration:
        return None
    from ..runtime.calibration.calibration_file import FILE, read_calibration
    from ..runtime.calibration.judge import CalibratedTolerance

    own = options.calibration == "own"
    path = claim.folder / FILE if own else Path(options.calibration)
    return CalibratedTolerance(read_calibration(path, claim), registry)


def _registry(claim: Claim, options: AuditOptions) -> Registry:
    """Load the installed plugins, and those of the claim's plugin files if allowed."""
    return registry_of(claim.folder, claim.record, allow=options.allow_local_plugins)


def _lower(options: AuditOptions, claim: Claim) -> Lowered:
    try:
        return lower_again(claim, _registry(claim, options))
    except RegistryError as error:
        return Lowered(why_not=f"the installed plugins cannot be loaded: {error.message}")


def _installed(claim: Claim) -> Sequence[Distribution]:
    """Return what the claim's plugins come from here; nothing where plugins cannot be loaded."""
    if claim.plan is None:
        return ()
    try:
        return load_registry().distributions(claim.plan)
    except RegistryError:
        return ()


def _recompute(
    options: AuditOptions, claim: Claim, step: RecordedStep, output: Any
) -> Mapping[str, float]:
    """Recompute metrics by the installed plugins; none where plugins cannot be loaded."""
    try:
        return by_plugins(_registry(claim, options))(claim, step, output)
    except RegistryError:
        return {}


def _texts(options: AuditOptions, claim: Claim) -> Mapping[str, str]:
    """Derive the texts of the adapter's folder; none where plugins cannot be loaded."""
    try:
        return derived_texts(claim, _registry(claim, options))
    except RegistryError:
        return {}
