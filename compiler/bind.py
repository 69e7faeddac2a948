"""Recipe text -> bound recipe: validated against the installed plugins, every default written out.

The fixed language (`schema.recipe`) and the parameters of all plugins become one pydantic model,
with a union discriminated by `use` wherever a plugin is named. One validation finds every fault.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Annotated, Any, Literal, Union

from pydantic import Field, ValidationError, create_model

from ..plugins.registry import Registry
from ..schema.errors import RecipeError
from ..schema.recipe import Benchmark, DataSet, Mixture, Model, Name, Recipe, Step, Train
from .explain import diagnostics
from .load import Loaded

_create: Any = create_model  # its fields are only known when plugins are, so it has no types


@cache
def bound_model(registry: Registry) -> type[Recipe]:
    """Return the recipe model over the installed plugins; its JSON Schema is the language's."""
    kinds = {
        kind: _union(registry, kind, Step)
        for kind in (
            "source", "reader", "scorer", "sampler", "template",
            "quantizer", "adapter", "evaluator", "rule",
        )
    }  # fmt: skip
    filters = _tuple(_union(registry, "filter", Step))
    model = _extend(
        Model,
        base=(kinds["source"], ...),
        quantization=(kinds["quantizer"], _default(registry, "quantizer", "none")),
        adapter=(kinds["adapter"], ...),
    )
    data_set = _extend(
        DataSet,
        source=(kinds["source"], ...),
        read=(kinds["reader"], ...),
        filters=(filters, ()),
        score=(kinds["scorer"] | None, None),
        sample=(kinds["sampler"], _default(registry, "sampler", "all")),
    )
    benchmark = _extend(
        Benchmark, source=(kinds["source"], ...), read=(kinds["reader"], ...), filters=(filters, ())
    )
    mixture = _extend(Mixture, filters=(filters, ()))
    train_base = _extend(Train, template=(kinds["template"], ...))
    bound: type[Recipe] = _extend(
        Recipe,
        model=(model, ...),
        data=(dict[Name, data_set], ...),  # type: ignore[valid-type]
        benchmarks=(dict[Name, benchmark], {}),  # type: ignore[valid-type]
        mixture=(mixture, mixture()),
        train=(_union(registry, "runtime", train_base), ...),
        evaluate=(_tuple(kinds["evaluator"]), ()),
        rules=(_tuple(kinds["rule"]), ()),
    )
    return bound


def bind(loaded: Loaded, registry: Registry) -> Recipe:
    """Return the bound recipe.

    Raises:
        RecipeError: with a diagnostic for every fault.
    """
    try:
        # As JSON and strictly: "1" is no number, and what the JSON Schema rejects is rejected.
        return bound_model(registry).model_validate_json(json.dumps(loaded.data), strict=True)
    except ValidationError as error:
        raise RecipeError(diagnostics(error, loaded, registry)) from None


@cache
def step_model(plugin: Any, base: Any, registry: Registry) -> type[Step]:
    """Return the recipe's model of one plugin: `use`, what the language adds, its parameters."""
    added: dict[str, Any] = {}
    if plugin.kind == "filter":
        for name, description in plugin.sources.items():
            source = _union(registry, "source", Step)
            added[name] = (source, Field(description=description))
        if plugin.uses_benchmarks:
            words = "The benchmarks that rows are compared with, by their names in `benchmarks:`."
            added["against"] = (_tuple(Name), Field(min_length=1, description=words))
    model: type[Step] = _create(
        f"{plugin.__name__}Step",
        __base__=(base, plugin.params_model),
        __doc__=plugin.summary(),
        use=(Literal[plugin.name], Field(description=plugin.summary())),
        **added,
    )
    return model


@cache
def _union(registry: Registry, kind: str, base: type[Step]) -> Any:
    plugins: list[Any] = list(registry.classes(kind))
    models = [step_model(plugin, base, registry) for plugin in plugins]
    if not models:
        # No plugin of the kind: whatever is named is unknown, and the message says so.
        return _create(
            f"No{kind.title()}",
            __base__=base,
            use=(Literal[""], Field(description=f"No {kind} is installed.")),
        )
    if len(models) == 1:
        return models[0]
    return Annotated[Union[tuple(models)], Field(discriminator="use")]  # noqa: UP007


def _tuple(item: Any) -> Any:
    return tuple[item, ...]


def _default(registry: Registry, kind: str, name: str) -> Any:
    """Return a step to fall back on, where that plugin is installed."""
    if name not in registry.names(kind):
        return ...
    plugin: Any = registry.get(kind, name).plugin
    return step_model(plugin, Step, registry)(use=name)


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
