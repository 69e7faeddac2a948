"""Hook specifications: one per kind, each returns classes.

No hook may change a recipe, a plan or a result: otherwise digests would no longer identify results.
The order in which plugins register never shows in any output.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pluggy

from .kinds import (
    Adapter,
    Evaluator,
    Exporter,
    Filter,
    Quantizer,
    Reader,
    Rule,
    Runtime,
    Sampler,
    Scorer,
    Source,
    Template,
)

GROUP = "khichdi"
"""The name of the pluggy project and of the entry-point group."""

hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


@hookspec
def khichdi_sources() -> Iterable[type[Source[Any]]]:
    """Return Source classes to make available to recipes."""
    return ()


@hookspec
def khichdi_readers() -> Iterable[type[Reader[Any]]]:
    """Return Reader classes to make available to recipes."""
    return ()


@hookspec
def khichdi_filters() -> Iterable[type[Filter[Any]]]:
    """Return Filter classes to make available to recipes."""
    return ()


@hookspec
def khichdi_scorers() -> Iterable[type[Scorer[Any]]]:
    """Return Scorer classes to make available to recipes."""
    return ()


@hookspec
def khichdi_samplers() -> Iterable[type[Sampler[Any]]]:
    """Return Sampler classes to make available to recipes."""
    return ()


@hookspec
def khichdi_templates() -> Iterable[type[Template[Any]]]:
    """Return Template classes to make available to recipes."""
    return ()


@hookspec
def khichdi_quantizers() -> Iterable[type[Quantizer[Any]]]:
    """Return Quantizer classes to make available to recipes."""
    return ()


@hookspec
def khichdi_adapters() -> Iterable[type[Adapter[Any]]]:
    """Return Adapter classes to make available to recipes."""
    return ()


@hookspec
def khichdi_runtimes() -> Iterable[type[Runtime[Any]]]:
    """Return Runtime classes to make available to recipes."""
    return ()


@hookspec
def khichdi_evaluators() -> Iterable[type[Evaluator[Any]]]:
    """Return Evaluator classes to make available to recipes."""
    return ()


@hookspec
def khichdi_exporters() -> Iterable[type[Exporter[Any]]]:
    """Return Exporter classes to make available to recipes."""
    return ()


@hookspec
def khichdi_rules() -> Iterable[type[Rule[Any]]]:
    """Return Rule classes to make available to recipes."""
    return ()
