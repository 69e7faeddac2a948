"""The seam: base classes, hooks and the registry. This is the API that plugins are written to."""

if __name__ != "khichdi.plugins":
    raise ImportError("this folder is the package khichdi.plugins: install it and import that name")

from ..schema.errors import FetchError, StepError
from ..schema.lock import PinnedFile
from .base import Params, Plugin, operational
from .hookspecs import hookimpl
from .kinds import (
    Adapter,
    Breach,
    EvaluationJob,
    EvaluationResult,
    Evaluator,
    Facts,
    Filter,
    Pin,
    Progress,
    Quantizer,
    Reader,
    Row,
    Rule,
    Runtime,
    Sampler,
    Scorer,
    Segment,
    Source,
    SourceFile,
    Template,
    TrainingJob,
    TrainingResult,
)

__all__ = [
    "Adapter",
    "Breach",
    "EvaluationJob",
    "EvaluationResult",
    "Evaluator",
    "Facts",
    "FetchError",
    "Filter",
    "Params",
    "Pin",
    "PinnedFile",
    "Plugin",
    "Progress",
    "Quantizer",
    "Reader",
    "Row",
    "Rule",
    "Runtime",
    "Sampler",
    "Scorer",
    "Segment",
    "Source",
    "SourceFile",
    "StepError",
    "Template",
    "TrainingJob",
    "TrainingResult",
    "hookimpl",
    "operational",
]
