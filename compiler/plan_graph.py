"""Collect the steps of a plan, each keyed when it is added."""

from __future__ import annotations

from typing import Any

from ..plugins.registry import Registry
from ..schema.digest import derive_seed
from ..schema.lock import Lock, Material
from ..schema.plan import Plan, PlanStep, PluginRef, recipe_hash, source_key, step_key
from ..schema.recipe import Recipe, Step
from ..schema.yaml_reader import Path
from .instances import ask

CORE_VERSION = {"tokens": 1, "mixture": 1, "split": 1, "pack": 2}
"""khichdi's own steps; a number is raised when the same input would give another result."""


def is_current(material: Material | None, plugin: PluginRef) -> bool:
    """Return whether a pinned material matches the recipe's present request."""
    return material is not None and material.request == plugin.request()


class PlanGraph:
    """Steps in order, each keyed when it is added.

    Attributes:
        recipe: the bound recipe that they are of.
        registry: where their plugins come from.
        steps: by name.
        places: by source, where the recipe writes it.
        benchmarks: by benchmark that a filter names, a reference to its rows.
    """

    def __init__(self, recipe: Recipe, registry: Registry, lock: Lock | None) -> None:
        self.recipe = recipe
        self.registry = registry
        self.materials = lock.materials if lock else {}
        self.steps: dict[str, PlanStep] = {}
        self.places: dict[str, Path] = {}
        self.benchmarks: dict[str, str] = {}

    def base(self) -> dict[str, str]:
        """Return the base as an input, with the tokenizer that the recipe changes."""
        model, _ = self.recipe.training()
        changed = {"tokens": "tokens#tokenizer"} if model.tokens is not None else {}
        return {"base": "base#files", **changed}

    def ref(self, kind: str, step: Step) -> PluginRef:
        """Return a reference to a plugin with its own parameters, defaults written out."""
        found = self.registry.get(kind, step.use)
        plugin = found.plugin
        own = set(plugin.params_model.model_fields)
        return PluginRef(
            kind=kind,
            name=plugin.name,
            version=plugin.version,
            params={name: value for name, value in step.params().items() if name in own},
            operational=tuple(sorted(plugin.operational())),
            file=found.file,
        )

    def source(self, name: str, step: Step, place: Path) -> None:
        """Add a source that the recipe writes at a place, pinned where the lock is current."""
        self.places[name] = place
        plugin = self.ref("source", step)
        material = self.materials.get(name)
        if not is_current(material, plugin):
            material = None
        key = source_key(plugin, material)
        self.steps[name] = PlanStep(
            name=name,
            kind="source",
            plugin=plugin,
            key=key,
            material=material,
            origin=ask(self.registry, "source", step, lambda source: source.origin()),
            package_url=ask(self.registry, "source", step, lambda source: source.package_url()),
        )

    def step(self, name: str, kind: str, step: Step, **rest: Any) -> str:
        """Add a plugin's step under a name that is free; return the name."""
        plugin = self.registry.get(kind, step.use).plugin
        return self._add(name, kind, self.ref(kind, step), seeded=plugin.seeded, **rest)

    def core(self, name: str, **rest: Any) -> str:
        """Add one of khichdi's own steps."""
        ref = PluginRef(kind=name, name=name, version=CORE_VERSION[name])
        return self._add(name, name, ref, **rest)

    def _add(
        self,
        name: str,
        kind: str,
        plugin: PluginRef,
        *,
        inputs: dict[str, str],
        parts: dict[str, PluginRef] | None = None,
        settings: dict[str, Any] | None = None,
        seed: int | None = None,
        seeded: bool = False,
    ) -> str:
        name = self.free(name)
        if seeded and seed is None:
            seed = derive_seed(self.recipe.seed, name)
        parts, settings = parts or {}, settings or {}
        keys = {role: self._input_key(reference) for role, reference in inputs.items()}
        self.steps[name] = PlanStep(
            name=name,
            kind=kind,
            plugin=plugin,
            parts=parts,
            settings=settings,
            inputs=inputs,
            seed=seed,
            key=step_key(kind, plugin, parts, settings, keys, seed),
        )
        return name

    def free(self, name: str) -> str:
        """Return the name, numbered where it is taken."""
        number, free = 1, name
        while free in self.steps:
            number += 1
            free = f"{name}-{number}"
        return free

    def _input_key(self, reference: str) -> str:
        step, output = reference.rsplit("#", 1)
        return f"{self.steps[step].key}#{output}"

    def plan(self) -> Plan:
        """Return the plan of the steps."""
        steps = tuple(self.steps.values())
        locked = all(step.material for step in steps if step.kind == "source")
        return Plan(
            language=self.recipe.recipe,
            recipe=self.recipe.name,
            seed=self.recipe.seed,
            locked=locked,
            recipe_hash=recipe_hash(steps, locked),
            steps=steps,
        )
