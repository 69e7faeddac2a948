"""Bind a recipe: validate it against the installed plugins, write out every default.

The fixed language (`schema.recipe`) and the parameters of all plugins become one pydantic model,
with a union discriminated by `use` wherever a plugin is named. One validation finds every fault.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, Union

from pydantic import Field, ValidationError, WithJsonSchema, create_model

from ..plugins.kinds import KINDS
from ..plugins.registry import Registry
from ..schema.errors import Diagnostic, RecipeError
from ..schema.recipe import Benchmark, DataSet, Mixture, Model, Name, Recipe, Step, Train
from ..schema.yaml_reader import Path
from .errors.validation_errors import data_path, diagnostics
from .language.schema_walk import steps_of
from .load import Loaded

ROUNDS = 8
"""How often a recipe is looked at again without what was found wrong."""
MAX_INTEGER = 2**53 - 1
"""The largest integer that canonical JSON can hold, and so a recipe."""
KIND_MARK = "x-kind"
"""Stands in a model's JSON Schema for a step of this kind; `json_schema` fills it in."""

DEFAULTS = {"none": "quantizer", "all": "sampler"}
"""Plugins that stand where a recipe names none, and their kinds."""

_create: Any = create_model  # its fields are only known when plugins are, so it has no types


@cache
def step_models(registry: Registry) -> dict[str, dict[str, type[Step]]]:
    """Return the recipe's model of every plugin, by kind and name."""
    found: dict[str, dict[str, type[Step]]] = {}
    # Filters and evaluators may name sources, a runtime names a template: those come first.
    for kind in sorted(KINDS, key=lambda kind: kind in ("evaluator", "filter", "runtime")):
        plugins: list[Any] = registry.classes(kind)
        if kind == "runtime":
            base = _extend(Train, template=(_step(found, "template"), ...))
            found[kind] = {plugin.name: step_model(plugin, base) for plugin in plugins}
            continue
        found[kind] = {}
        for plugin in plugins:
            added = _inputs(plugin, found)
            model = step_model(plugin, Step, **added) if added else _plain_step(plugin)
            found[kind][plugin.name] = model
    return found


def _inputs(plugin: Any, models: dict[str, dict[str, type[Step]]]) -> dict[str, Any]:
    """Return the fields by which a filter is given more than rows, and an evaluator its sources."""
    if plugin.kind == "evaluator":
        return {
            name: (
                dict[Name, _step(models, "source")],  # type: ignore[misc]
                Field(min_length=1, description=description),
            )
            for name, description in plugin.sources.items()
        }
    if plugin.kind != "filter":
        return {}
    added: dict[str, Any] = {
        name: (_step(models, "source"), Field(description=description))
        for name, description in plugin.sources.items()
    }
    if plugin.uses_benchmarks:
        words = "The benchmarks to compare rows with, by their names in `benchmarks:`."
        added["against"] = (_tuple(Name), Field(min_length=1, description=words))
    return added


@cache
def bound_model(registry: Registry) -> type[Recipe]:
    """Return the recipe model over the installed plugins."""
    models = step_models(registry)
    kinds = {kind: _step(models, kind) for kind in models}
    filters = _tuple(kinds["filter"])
    model = _extend(
        Model,
        base=(kinds["source"], ...),
        quantization=(kinds["quantizer"], _default(models, "none")),
        adapter=(kinds["adapter"], ...),
    )
    data_set = _extend(
        DataSet,
        source=(kinds["source"], ...),
        read=(kinds["reader"], ...),
        filters=(filters, ()),
        score=(kinds["scorer"] | None, None),
        sample=(kinds["sampler"], _default(models, "all")),
    )
    benchmark = _extend(
        Benchmark, source=(kinds["source"], ...), read=(kinds["reader"], ...), filters=(filters, ())
    )
    mixture = _extend(Mixture, filters=(filters, ()))
    bound: type[Recipe] = _extend(
        Recipe,
        model=(model | None, None),
        data=(dict[Name, data_set], ...),  # type: ignore[valid-type]
        benchmarks=(dict[Name, benchmark], {}),  # type: ignore[valid-type]
        mixture=(mixture, mixture()),
        train=(kinds["runtime"] | None, None),
        evaluate=(_tuple(kinds["evaluator"]), ()),
        export=(_tuple(kinds["exporter"]), ()),
        rules=(_tuple(kinds["rule"]), ()),
    )
    return bound


def bind(loaded: Loaded, registry: Registry) -> Recipe:
    """Return the bound recipe.

    Raises:
        RecipeError: with a diagnostic for every fault.
    """
    partial = bind_partly(loaded, registry)
    if partial.faults or partial.recipe is None:
        raise RecipeError(partial.faults)
    return partial.recipe


@dataclass(frozen=True)
class Partial:
    """A recipe as far as it is without fault.

    `recipe` is the rest without the values at `without`, or None where nothing is left.
    """

    recipe: Recipe | None
    faults: list[Diagnostic]
    without: frozenset[Path]


def bind_partly(loaded: Loaded, registry: Registry) -> Partial:
    """Return a recipe's errors, and the recipe without the values that have them.

    The rest is checked again: one wrong value does not hide a contradiction elsewhere.
    """
    whole = _without_fault(loaded.data, registry)
    if whole is not None:
        return Partial(whole, [], frozenset())
    root = bound_model(registry)
    data: Any = loaded.data
    faults: list[Diagnostic] = []
    without: set[Path] = set()
    for _ in range(ROUNDS):
        try:
            return Partial(_validated(root, data), faults, frozenset(without))
        except ValidationError as error:
            faults += diagnostics(error, loaded, registry, root, without)
            data = data if without else json.loads(json.dumps(data))
            spots = {removable(data_path(fault, data), data) for fault in error.errors()}
            if () in spots:
                break
            for spot in spots:
                remove(data, spot)
            without |= spots
    return Partial(None, faults, frozenset(without))


def _without_fault(data: Any, registry: Registry) -> Recipe | None:
    """Return the recipe where it has no fault, or None; only what it names has to be modelled.

    Errors refer to all installed plugins.
    """
    named = {use for _, use in steps_of(data)} | DEFAULTS.keys()
    try:
        return _validated(bound_model(registry.only(frozenset(named))), data)
    except ValidationError:
        return None


def _validated(root: type[Recipe], data: Any) -> Recipe:
    """Validate as JSON and strictly: "1" is not a number, exactly as in the JSON Schema."""
    return root.model_validate_json(json.dumps(_numbers(data)), strict=True)


def removable(path: Path, data: Any) -> Path:
    """Return the path to remove so that an error disappears; lists go whole, for places to stay."""
    path = path[: next((i for i, part in enumerate(path) if isinstance(part, int)), len(path))]
    for part in path[:-1]:
        data = data[part]
    return path if path and path[-1] in data else path[:-1]


def remove(data: Any, path: Path) -> None:
    """Take the value at a path away, where it is still there."""
    for part in path[:-1]:
        data = data.get(part, {})
    data.pop(path[-1], None)


def _numbers(value: Any) -> Any:
    """Return a value with its numbers as JSON Schema sees them: 16.0 is the integer 16.

    An integer that canonical JSON cannot represent is refused.
    """
    if isinstance(value, dict):
        return {key: _numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    if isinstance(value, float) and value.is_integer() and abs(value) <= MAX_INTEGER:
        return int(value)
    if type(value) is int and abs(value) > MAX_INTEGER:
        return float(value) if abs(value) < 10**308 else math.inf
    return value


@cache
def _plain_step(plugin: Any) -> type[Step]:
    """Return the model of a plugin to which the language adds nothing, made once."""
    return step_model(plugin, Step)


def step_model(plugin: Any, base: Any, **added: Any) -> type[Step]:
    """Return the recipe's model of one plugin: `use`, what the language adds, its parameters."""
    model: type[Step] = _create(
        f"{plugin.__name__}Step",
        __base__=(base, plugin.params_model),
        __doc__=plugin.summary(),
        use=(Literal[plugin.name], Field(description=plugin.summary())),
        **added,
    )
    return model


def _step(models: dict[str, dict[str, type[Step]]], kind: str) -> Any:
    """Return the type of a step of a kind: whichever of its plugins `use` names."""
    mark = WithJsonSchema({KIND_MARK: kind})
    known = tuple(models[kind].values())
    if len(known) > 1:
        return Annotated[Union[known], Field(discriminator="use"), mark]  # noqa: UP007
    if known:
        return Annotated[known[0], mark]
    # No plugin of the kind: whatever is named is unknown, and the message says so.
    nothing = Field(description=f"No {kind} is installed.")
    none = _create(f"No{kind.title()}", __base__=Step, use=(Literal[""], nothing))
    return Annotated[none, mark]


def _tuple(item: Any) -> Any:
    return tuple[item, ...]


def _default(models: dict[str, dict[str, type[Step]]], name: str) -> Any:
    """Return a step to fall back on, where that plugin is installed."""
    kind = DEFAULTS[name]
    return models[kind][name](use=name) if name in models[kind] else ...


def _extend(base: type[Any], /, **fields: tuple[Any, Any]) -> Any:
    """Return a subclass whose fields have other types, and the base's descriptions."""
    described = {}
    for name, (kind, default) in fields.items():
        original = base.model_fields[name]
        described[name] = (
            kind,
            Field(
                default,
                description=original.description,
                json_schema_extra=original.json_schema_extra,
                min_length=next(
                    (m.min_length for m in original.metadata if hasattr(m, "min_length")), None
                ),
            ),
        )
    return _create(base.__name__, __base__=base, __doc__=base.__doc__, **described)
