"""The seam: base classes, hooks and the registry. This is the API that plugins are written to."""

if __name__ != "khichdi.plugins":
    raise ImportError("this folder is the package khichdi.plugins: install it and import that name")

from ..schema.errors import FetchError, StepError
from ..schema.lock import PinnedFile
from .base import Params, Plugin, operational
from .deprecations import renamed as _renamed
from .hookspecs import hookimpl
from .kinds import (
    Adapter,
    Breach,
    ContradictionError,
    Drop,
    Editor,
    EvaluationJob,
    EvaluationResult,
    Evaluator,
    Exporter,
    ExportJob,
    Facts,
    Filter,
    FilterInputs,
    Launch,
    Pin,
    Progress,
    Quantizer,
    Reader,
    Replay,
    ReplayedSegment,
    Row,
    Rule,
    Runtime,
    Sampler,
    Scorer,
    Scores,
    ScoringJob,
    Segment,
    Source,
    SourceFile,
    Template,
    TrainingJob,
    TrainingResult,
    TrainingSegment,
)

__all__ = [
    "Adapter",
    "Breach",
    "ContradictionError",
    "Drop",
    "Editor",
    "EvaluationJob",
    "EvaluationResult",
    "Evaluator",
    "ExportJob",
    "Exporter",
    "Facts",
    "FetchError",
    "Filter",
    "FilterInputs",
    "Launch",
    "Params",
    "Pin",
    "PinnedFile",
    "Plugin",
    "Progress",
    "Quantizer",
    "Reader",
    "Replay",
    "ReplayedSegment",
    "Row",
    "Rule",
    "Runtime",
    "Sampler",
    "Scorer",
    "Scores",
    "ScoringJob",
    "Segment",
    "Source",
    "SourceFile",
    "StepError",
    "Template",
    "TrainingJob",
    "TrainingResult",
    "TrainingSegment",
    "hookimpl",
    "operational",
]


def __getattr__(name: str) -> object:
    """Return what a name stands for that is to go."""
    return _renamed(name)
