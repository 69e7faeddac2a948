"""Plan document: the graph of steps as pure data, with step keys, recipe hash and result hash."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, JsonValue, StringConstraints

from .digest import digest
from .document import Digest, Document, PathBelow, refuse_duplicates, unique
from .lock import Material, request_digest
from .seal import Sealed


def _once(names: tuple[str, ...]) -> tuple[str, ...]:
    refuse_duplicates(names, "parameter")
    return names


Reference = Annotated[str, StringConstraints(pattern=r"^.+#[^#]+$")]
"""`<step name>#<output name>`."""


class PluginRef(Document):
    """A plugin with its parameters; `operational` ones are outside every key.

    `file` is the sha256 of the plugin file that it comes from; None for an installed plugin.
    """

    kind: str
    name: str
    version: int
    params: dict[str, JsonValue] = {}
    operational: Annotated[tuple[str, ...], AfterValidator(_once)] = ()
    file: Digest | None = Field(None, exclude_if=lambda file: file is None)

    def identity(self) -> dict[str, Any]:
        """Return the part that enters a key: parameters that can change results, and the file."""
        hashed = {k: v for k, v in self.params.items() if k not in self.operational}
        known = {"kind": self.kind, "name": self.name, "version": self.version, "params": hashed}
        return known | ({"file": self.file} if self.file else {})

    def request(self) -> str:
        """Return the digest of a recipe's request to a source with this plugin."""
        return request_digest(self.name, self.version, dict(self.params), self.file)


class PlanStep(Document):
    """One node.

    Attributes:
        name: a label such as `data/lima/filter/max-words`; never part of the key.
        kind: the plugin's kind, or one of khichdi's own: `tokens`, `mixture`, `split`, `pack`.
        plugin: the plugin that does the step.
        parts: further plugins that it is given, by role (a training step's quantizer).
        settings: parameters of the step that belong to the language, not to the plugin.
        inputs: by role, `<step name>#<output name>`.
        seed: the step's own seed, where it draws random numbers.
        key: digest of all of the above but the label; known before running.
        material: the pinned bytes, for a source that is locked.
        origin: where a source's bytes come from, for people.
        package_url: the purl of a source that has one, without a version.
    """

    name: PathBelow
    kind: str
    plugin: PluginRef
    parts: dict[str, PluginRef] = {}
    settings: dict[str, JsonValue] = {}
    inputs: dict[str, Reference] = {}
    seed: int | None = None
    key: Digest
    material: Material | None = None
    origin: str | None = None
    package_url: str | None = None

    def plugins(self) -> tuple[PluginRef, ...]:
        """Return the plugin that does the step, and its parts."""
        return (self.plugin, *self.parts.values())

    def sources(self) -> Iterator[tuple[str, str, str]]:
        """Yield (role, step name, output name) of each input."""
        for role, reference in self.inputs.items():
            step, output = reference.rsplit("#", 1)
            yield role, step, output


class Plan(Sealed):
    """All steps, each after its inputs.

    `language` is the version of the recipe language. It is not part of the recipe hash,
    which is of what the recipe means: migrated to a newer version, a recipe keeps its hash.
    `varies_by` is the setting by which the recipe itself lets the same training end in other bits.
    """

    plan: Literal[1] = 1
    language: int
    recipe: str
    seed: int
    locked: bool
    recipe_hash: Digest
    steps: Annotated[tuple[PlanStep, ...], unique("name")] = Field(min_length=1)
    varies_by: str | None = None

    def step(self, name: str) -> PlanStep:
        """Return the step of this name."""
        return next(step for step in self.steps if step.name == name)

    def has(self, name: str) -> bool:
        """Return whether there is a step of this name."""
        return any(step.name == name for step in self.steps)

    @property
    def trains(self) -> bool:
        """Return whether a model is trained; else the plan ends with its data."""
        return any(step.kind == "runtime" for step in self.steps)

    def plugin_files(self) -> frozenset[str]:
        """Return the sha256 of each plugin file that a step's plugins come from."""
        return frozenset(ref.file for step in self.steps for ref in step.plugins() if ref.file)

    @property
    def repeats(self) -> bool:
        """Return whether the same bits have to come again."""
        return self.varies_by is None


def source_key(plugin: PluginRef, material: Material | None) -> str:
    """Return the key of a source.

    A locked source is known by its bytes alone: what its parameters could change is which bytes
    arrive, and those are pinned. A mirror, a moved folder or a renamed branch changes nothing.
    """
    if material is not None:
        return digest("step", {"kind": "source", "manifest": material.manifest()})
    return digest("step", {"unlocked": plugin.identity()})


def step_key(
    kind: str,
    plugin: PluginRef,
    parts: Mapping[str, PluginRef],
    settings: Mapping[str, Any],
    inputs: Mapping[str, str],
    seed: int | None,
) -> str:
    """Return the key of a step; `inputs` has, by role, the input's key and output name."""
    return digest(
        "step",
        {
            "kind": kind,
            "plugin": plugin.identity(),
            "parts": {role: part.identity() for role, part in parts.items()},
            "settings": dict(settings),
            "inputs": dict(inputs),
            "seed": seed,
        },
    )


def recipe_hash(steps: tuple[PlanStep, ...], locked: bool) -> str:
    """Return the root digest of a plan: data, weights, tokenizer, settings, plugin versions.

    Every step is bound by its label and its key; a key binds parameters, plugin versions, seeds
    and the keys of its inputs, down to the sha256 of every pinned file.
    """
    keys = {step.name: step.key for step in steps}
    return digest("recipe", {"locked": locked, "steps": keys})


def result_hash(digests: Mapping[str, Mapping[str, str]]) -> str:
    """Return the root digest of a run: digests by step and output name."""
    return digest("result", {step: dict(outputs) for step, outputs in digests.items()})
