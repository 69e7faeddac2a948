"""One base class per kind; authors implement one method.

A plugin never changes a recipe, a plan or another's result: it gets its inputs as arguments and
gives its result back. Randomness comes in as a seed, never from a global generator.
"""

from typing import Any

from ..base import Plugin
from .adapter import Adapter
from .breach import Breach
from .drop import Drop
from .evaluator import EvaluationJob, EvaluationResult, Evaluator
from .exporter import Exporter, ExportJob
from .filter import Editor, Filter, FilterInputs
from .launch import Launch
from .progress import Progress, ignore_progress
from .quantizer import Quantizer
from .reader import Reader
from .rule import Facts, Rule
from .runtime import (
    ContradictionError,
    Replay,
    ReplayedSegment,
    Runtime,
    TrainingJob,
    TrainingResult,
    TrainingSegment,
)
from .sampler import Sampler
from .scorer import Scorer, Scores, ScoringJob
from .source import Pin, Source, SourceFile
from .template import BaseChat, ChatSupport, Rendering, Row, Segment, Template
from .workload import Account, AccountError, BaseSupport, Generation, Schedule, Work, Workload

__all__ = [
    "KINDS",
    "Account",
    "AccountError",
    "Adapter",
    "BaseChat",
    "BaseSupport",
    "Breach",
    "ChatSupport",
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
    "Generation",
    "Launch",
    "Pin",
    "Progress",
    "Quantizer",
    "Reader",
    "Rendering",
    "Replay",
    "ReplayedSegment",
    "Row",
    "Rule",
    "Runtime",
    "Sampler",
    "Schedule",
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
    "Work",
    "Workload",
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
