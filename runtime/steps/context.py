"""Inputs and results of a step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...plugins.kinds import KINDS, Launch, Progress
from ...plugins.registry import Registry
from ...plugins.toolkit.token_changes import overlay
from ...schema.errors import StepError
from ...schema.plan import PlanStep, PluginRef
from ..sources.mirror import Mirror

BASE = ".base"
"""Folder beside a step's outputs that shows the base with the recipe's tokens."""


@dataclass(frozen=True)
class Produced:
    """A folder that a step wrote: its kind, and the digest of its content if not its files'."""

    folder: Path
    kind: str
    digest: str | None = None


@dataclass(frozen=True)
class Outcome:
    """Outputs of a step; see `schema.record.StepResult` for facts and measured."""

    outputs: dict[str, Produced]
    facts: dict[str, Any] = field(default_factory=dict)
    measured: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Context:
    """Inputs of a step.

    Attributes:
        step: what to do.
        inputs: by role, the folder of the artifact; read-only.
        staging: an empty folder to write outputs below, one folder each.
        work: a folder that survives a kill; only for steps that resume.
        origin: for a source, the folder that its relative paths start in.
        registry: where plugins come from.
        report: called with progress.
        mirror: what a source's bytes come from instead of the place that it names, if anything.
        launch: the processes that a training is divided over, where not this one alone.
    """

    step: PlanStep
    inputs: dict[str, Path]
    staging: Path
    work: Path
    origin: Path | None
    registry: Registry
    report: Callable[[Progress], None]
    mirror: Mirror | None = None
    launch: Launch | None = None

    def plugin(self) -> Any:
        """Return the step's plugin with its parameters."""
        return self._create(self.step.plugin)

    def part(self, role: str) -> Any:
        """Return one of the step's further plugins."""
        return self._create(self.step.parts[role])

    def base(self) -> Path:
        """Return the folder of the base model's files, with the tokens of the recipe."""
        folder = self.folder("base")
        if "tokens" not in self.inputs:
            return folder
        seen = self.staging / BASE
        return seen if seen.is_dir() else overlay(folder, self.inputs["tokens"], seen)

    def folder(self, role: str) -> Path:
        """Return the folder of a source's files.

        A folder that holds only one folder is replaced by that: a wheel has its files below its
        package's name.
        """
        folder = self.inputs[role]
        inside = list(folder.iterdir())
        while len(inside) == 1 and inside[0].is_dir():
            folder = inside[0]
            inside = list(folder.iterdir())
        return folder

    def output(self, name: str) -> Path:
        """Return a new folder to write an output to."""
        folder = self.staging / name
        folder.mkdir()
        return folder

    def fail(
        self, message: str, hint: str | None = None, plugin: PluginRef | None = None
    ) -> StepError:
        """Return an error that names the step, its plugin or one of its parts, and its origin."""
        ref = plugin or self.step.plugin
        if ref.kind not in KINDS:
            return StepError(f"{self.step.name}: {message}", hint=hint)
        origin = self.origin_of(ref)
        words = f"{ref.kind} `{ref.name}`" + (f" of {origin}" if origin else "")
        return StepError(f"{self.step.name} ({words}): {message}", hint=hint)

    def origin_of(self, ref: PluginRef) -> str | None:
        """Return a plugin's distribution; None for those that ship."""
        if ref.name not in self.registry.names(ref.kind):
            return None
        found = self.registry.get(ref.kind, ref.name).distribution
        return None if found.name == "khichdi" else f"{found.name} {found.version}"

    def _create(self, ref: Any) -> Any:
        entry = self.registry.get(ref.kind, ref.name)
        found = entry.plugin
        if entry.file != ref.file:
            raise self.fail(
                f"the plan asks for {ref.kind} `{ref.name}` of {_origin(ref.file)}, "
                f"that of {_origin(entry.file)} is loaded",
                "make the plan again from the recipe",
            )
        if found.version != ref.version:
            raise self.fail(
                f"the plan needs version {ref.version} of {ref.kind} `{ref.name}`, "
                f"version {found.version} is installed",
                "make the plan again with the installed plugins",
            )
        return self.registry.create(ref.kind, ref.name, ref.params)


def _origin(file: str | None) -> str:
    return f"the plugin file {file}" if file else "an installed distribution"
