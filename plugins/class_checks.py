"""Validate a plugin class when it is loaded."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel

from .base import Params, Plugin

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
NO_SUMMARY = "its docstring must start with a line that says what it does"
RESERVED = {
    "runtime": frozenset(
        {"use", "template", "sequence_len", "overlong", "sample_packing", "packing_strategy"}
    ),
    "filter": frozenset({"use", "against"}),
}
"""Words of the recipe language that stand beside a kind's parameters; `use` for every kind."""


def fault(plugin: Any, kind: str, base: type[Plugin[Any]]) -> str | None:
    """Return what breaks the contract of a kind, or None."""
    if not (inspect.isclass(plugin) and issubclass(plugin, base)):
        return f"the hook khichdi_{kind}s returns subclasses of {base.__name__}"
    if inspect.isabstract(plugin):
        missing = ", ".join(sorted(getattr(plugin, "__abstractmethods__", ())))
        return f"it does not define {missing}"
    name = getattr(plugin, "name", "")
    if not hasattr(plugin, "name"):
        return "it has no `name`: lower-case words joined by dashes were expected"
    if not (isinstance(name, str) and NAME.fullmatch(name)):
        return "its `name` must be lower-case words joined by dashes"
    if type(plugin.version) is not int or plugin.version < 1:
        return "its `version` must be an integer of at least 1"
    reserved = RESERVED.get(kind, frozenset({"use"})) | set(getattr(plugin, "sources", ()))
    return (
        params_fault(plugin.params_model, reserved)
        or _method_fault(plugin, base)
        or _choice_fault(plugin)
        or (None if _described(plugin) else NO_SUMMARY)
    )


def params_fault(model: type[Params], reserved: frozenset[str] = frozenset()) -> str | None:
    """Return the error in a model of parameters, or None."""
    if not (inspect.isclass(model) and issubclass(model, Params)):
        return "its parameters must be a subclass of khichdi.plugins.Params"
    for name in model.model_fields:
        if name in reserved:
            return f"its parameter `{name}` is a word of the recipe language: choose another"
    return _model_fault(model, "", set())


def _model_fault(model: type[BaseModel], inside: str, seen: set[type[BaseModel]]) -> str | None:
    seen.add(model)
    where = f" (of `{inside.rstrip('.')}`)" if inside else ""
    if model.model_config.get("extra") != "forbid" or not model.model_config.get("frozen"):
        return f"its parameters{where} must stay closed (extra='forbid') and frozen"
    for name, validator in model.__pydantic_decorators__.model_validators.items():
        if validator.info.mode != "after":
            # Recipes are validated as JSON and strictly; a model validator that runs before turns
            # lists into Python values that are then refused.
            return f"its validator `{name}`{where} must be of mode 'after'"
    for name, field in model.model_fields.items():
        if not field.description:
            return f"its parameter `{inside}{name}` has no description"
        for inner in _models(field.annotation):
            if inner not in seen and (found := _model_fault(inner, f"{inside}{name}.", seen)):
                return found
    return None


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the models that a type is made of."""
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


def _choice_fault(plugin: type[Plugin[Any]]) -> str | None:
    """Return why a plugin defines none or both of its kind's `alternatives`, or None."""
    base = _owner(plugin)
    names = plugin.alternatives
    defined = [name for name in names if getattr(plugin, name) is not getattr(base, name)]
    if len(defined) == 1 or not names:
        return None
    one, other = (f"`{name}`" for name in names)
    if defined:
        return f"it defines both {one} and {other}: define one of them, the other has a default"
    return f"it defines neither {one} nor {other}: define one of them"


def _owner(plugin: type[Plugin[Any]]) -> type[Plugin[Any]]:
    """Return the base class of a plugin: its kind's, or Editor."""
    return next(cls for cls in plugin.__mro__ if "alternatives" in vars(cls))


def _method_fault(plugin: type[Plugin[Any]], base: type[Plugin[Any]]) -> str | None:
    """Return which method of the kind cannot be called as the kind calls it, or None."""
    for name, promised in {**vars(base), **vars(_owner(plugin))}.items():
        if not inspect.isfunction(promised) or name.startswith("_"):
            continue
        given = next(vars(cls)[name] for cls in plugin.__mro__ if name in vars(cls))
        if given is promised:
            continue
        arguments = list(inspect.signature(promised).parameters)
        words = f"its `{name}` must be a method that takes ({', '.join(arguments[1:])})"
        if not inspect.isfunction(given):
            return words
        try:
            inspect.signature(given).bind(*arguments)
        except TypeError:
            return words
    return None


def _described(plugin: type[Plugin[Any]]) -> bool:
    return bool(vars(plugin).get("__doc__")) and bool(plugin.summary())


def place(thing: Any) -> str:
    """Return the name and the file of a class or a module, for a message."""
    module = sys.modules.get(getattr(thing, "__module__", ""), thing)
    file = getattr(module, "__file__", None) or "unknown file"
    name = getattr(thing, "__qualname__", None) or getattr(thing, "__name__", None) or repr(thing)
    return f"{name} ({file})"
