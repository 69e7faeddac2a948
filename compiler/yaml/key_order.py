"""Order keys: the language's models first, then a plugin's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_args

from ...plugins.registry import Registry
from ...schema.recipe import DataSet, Recipe, Step, Train
from ..language.schema_walk import KIND_OF_KEY
from .cst import Entry, Node


@dataclass(frozen=True)
class Place:
    """The part of the language at a place of a recipe.

    `model` is a section's class, or `Step` or `Train`, where `kind` is the plugin's; None is a
    plugin's parameter or something unknown. `many` means that it is a list of steps, or, of
    `DataSet`, the mapping of data sets. `known` is false below an unknown key.
    """

    model: type[Any] | None = None
    kind: str | None = None
    many: bool = False
    known: bool = True


ROOT = Place(Recipe)


def below(place: Place, entry: Entry, registry: Registry, use: Any = None) -> Place:
    """Return the place of an entry's value; `use` is the plugin that the mapping itself names."""
    if place.many:
        return Place(place.model, place.kind)
    fields = place.model.model_fields if place.model else {}
    if not place.known or place.model is None:
        return Place(known=place.known)
    if entry.key in fields and entry.key is not None:
        return _of(fields[entry.key].annotation, entry.key)
    return Place(known=entry.key in _params(place, registry, use))


def keys(place: Place, registry: Registry, use: Any) -> list[str] | None:
    """Return a mapping's keys in order, or None where the language does not order them."""
    if place.model is None or place.many:
        return None
    names = list(place.model.model_fields)
    if place.model is Recipe:
        names.insert(names.index("description") + 1, "extends")
    return [*names, *_params(place, registry, use)]


def arrange(node: Node, registry: Registry, place: Place = ROOT) -> None:
    """Put the keys of a mapping and of all below into order; unknown ones stay last as they are."""
    use = plugin_of(node)
    order = keys(place, registry, use) if node.kind == "mapping" else None
    if order is not None:
        rank = {key: index for index, key in enumerate(order)}
        node.entries.sort(key=lambda entry: rank.get(str(entry.key), len(rank)))
    for entry in node.entries:
        arrange(entry.node, registry, below(place, entry, registry, use))


def plugin_of(node: Node) -> Any:
    """Return what a step's `use` names, or None."""
    entry = node.entry("use") if node.kind == "mapping" else None
    return entry.node.value if entry else None


def _params(place: Place, registry: Registry, use: Any) -> list[str]:
    if place.kind is None or use not in registry.names(place.kind):
        return []
    return list(registry.get(place.kind, use).plugin.params_model.model_fields)


def _of(annotation: Any, key: str) -> Place:
    """Return the place that a field's type describes."""
    types = [annotation, *get_args(annotation)]
    for found in types:
        if not isinstance(found, type) or not hasattr(found, "model_fields"):
            continue
        if issubclass(found, Step):
            model = Train if issubclass(found, Train) else Step
            return Place(model, KIND_OF_KEY.get(key), many=found is not annotation and _list(types))
        return Place(found, many=found is DataSet)
    return Place()


def _list(types: list[Any]) -> bool:
    return Ellipsis in types
