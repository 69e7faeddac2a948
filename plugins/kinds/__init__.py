"""One base class per kind. The base does the chores, an author writes one method.

A plugin never changes a recipe, a plan or another's result: it gets its inputs as arguments and
gives its result back. Randomness comes in as a seed, never from a global generator.
"""

from typing import Any

from ..base import Plugin
from .data import (
    Drop,
    Editor,
    Filter,
    FilterInputs,
    Pin,
    Reader,
    Row,
    Sampler,
    Scorer,
    Scores,
    ScoringJob,
    Segment,
    Source,
    SourceFile,
    Template,
)
from .launch import Launch
from .model import (
    Adapter,
    ContradictionError,
    EvaluationJob,
    EvaluationResult,
    Evaluator,
    Exporter,
    ExportJob,
    Progress,
    Quantizer,
    Replay,
    ReplayedSegment,
    Runtime,
    TrainingJob,
    TrainingResult,
    TrainingSegment,
    ignore_progress,
)
from .rule import Breach, Facts, Rule

__all__ = [
    "KINDS",
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
    "Filter",
    "FilterInputs",
    "Launch",
    "Pin",
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
    "Template",
    "TrainingJob",
    "TrainingResult",
    "TrainingSegment",
    "ignore_progress",
]

KINDS: dict[str, type[Plugin[Any]]] = {
    base.kind: base
    for base in (
        Source,
        Reader,
        Filter,
        Scorer,
        Sampler,
        Template,
        Quantizer,
        Adapter,
        Runtime,
        Evaluator,
        Exporter,
        Rule,
    )
}
"""Every kind by its name."""
