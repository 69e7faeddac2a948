"""The kind that writes the trained model in a shape that others take."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..base import P, Plugin
from .progress import Progress, ignore_progress
from .quantizer import Quantizer


@dataclass(frozen=True)
class ExportJob:
    """Inputs of an exporter.

    Attributes:
        base: folder with the base weights and tokenizer files, verified; never written to.
        base_name: what to call the base (a repository, never a path).
        adapter: folder with the trained adapter in peft's format.
        quantizer: how the base was stored in training.
        output: empty folder to write to. The same weights give the same files.
        report: called now and then.
        chat_template: the Jinja chat template to write into the model; None for the base's own.
    """

    base: Path
    base_name: str
    adapter: Path
    quantizer: Quantizer[Any]
    output: Path
    report: Callable[[Progress], None] = ignore_progress
    chat_template: str | None = None


class Exporter(Plugin[P], ABC):
    """Writes the trained model in a shape that others take."""

    kind = "exporter"

    @abstractmethod
    def export(self, job: ExportJob) -> None:
        """Write the model's files to `job.output`. Raises `StepError`."""
