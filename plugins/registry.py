"""The registry: every plugin that is installed, checked at the door and sorted.

A registry is built fresh and is immutable; there is no global plugin manager. The environment
variable `KHICHDI_PLUGINS` limits it: `none` for the built-in ones only, or names of entry points
separated by commas (the built-in ones are always there).
"""

from __future__ import annotations

import inspect
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from ..schema.errors import RegistryError
from ..schema.lock import Distribution
from . import hookspecs
from .base import Params, Plugin
from .kinds import KINDS

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
RESERVED = {
    "runtime": frozenset({"use", "template", "sequence_len", "sample_packing"}),
    "filter": frozenset({"use", "against"}),
}
"""Words of the recipe language that stand beside a kind's parameters; `use` for every kind."""
BUILTIN = "builtin"


@dataclass(frozen=True)
class Registered:
    """A plugin class, and the distribution it came from."""

    plugin: type[Plugin[Any]]
    distribution: Distribution


class Registry:
    """Plugins by kind and name, in sorted order."""

    def __init__(self, plugins: Mapping[tuple[str, str], Registered]) -> None:
        self._plugins = dict(sorted(plugins.items()))

    def __iter__(self) -> Any:
        return iter(self._plugins.values())

    def names(self, kind: str) -> list[str]:
        """Return the names of a kind, sorted."""
        return [name for k, name in self._plugins if k == kind]

    def classes(self, kind: str) -> list[type[Plugin[Any]]]:
        """Return the classes of a kind, sorted by name."""
        return [entry.plugin for (k, _), entry in self._plugins.items() if k == kind]

    def get(self, kind: str, name: str) -> Registered:
        """Return a plugin.

        Raises:
            RegistryError: there is none of that name; lists the near and the known ones.
        """
        found = self._plugins.get((kind, name))
        if found is not None:
            return found
        known = self.names(kind)
        near = get_close_matches(name, known, n=1)
        hint = f"did you mean `{near[0]}`? " if near else ""
        raise RegistryError(
            f"no {kind} named `{name}` is installed",
            hint=f"{hint}installed: {', '.join(known) or 'none'}",
        )

    def create(self, kind: str, name: str, params: Mapping[str, Any]) -> Any:
        """Return an instance with these parameters, validated."""
        plugin = self.get(kind, name).plugin
        return plugin(plugin.params_model.model_validate(params))

    def distributions(self) -> tuple[Distribution, ...]:
        """Return every distribution that plugins came from, sorted by name."""
        found = {entry.distribution.name: entry.distribution for entry in self}
        return tuple(found[name] for name in sorted(found))


def load_registry(extra: Iterable[object] = ()) -> Registry:
    """Load every installed plugin; `extra` are modules or objects with hook implementations.

    Raises:
        RegistryError: a plugin cannot be imported, has a misspelt hook, breaks its kind's
            contract, or takes a name that is taken.
    """
    manager = pluggy.PluginManager(hookspecs.GROUP)
    manager.add_hookspecs(hookspecs)
    origins: dict[str, Distribution] = {}
    for point in _chosen(entry_points(group=hookspecs.GROUP)):
        origins[point.name] = _distribution(point)
        manager.register(_import(point), name=point.name)
    for number, module in enumerate(extra):
        name = getattr(module, "__name__", f"extra-{number}")
        origins[name] = Distribution(name=name, version="0")
        manager.register(module, name=name)
    try:
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise RegistryError(
            f"plugin `{error.plugin}` has an unknown hook: {error}",
            hint="the hooks are " + ", ".join(f"khichdi_{kind}s" for kind in KINDS),
        ) from None
    return Registry(_collect(manager, origins))


def _chosen(points: Iterable[EntryPoint]) -> Sequence[EntryPoint]:
    wanted = os.environ.get("KHICHDI_PLUGINS")
    unique = {point.name: point for point in points}
    points = [unique[name] for name in sorted(unique)]
    if wanted is None:
        return points
    names = {BUILTIN} | {name.strip() for name in wanted.split(",")} - {"none"}
    return [point for point in points if point.name in names]


def _distribution(point: EntryPoint) -> Distribution:
    if point.dist is None:
        return Distribution(name=point.name, version="0")
    return Distribution(name=point.dist.name, version=point.dist.version)


def _import(point: EntryPoint) -> Any:
    try:
        return point.load()
    except Exception as error:
        raise RegistryError(
            f"plugin `{point.name}` ({point.value}) cannot be imported: "
            f"{type(error).__name__}: {error}",
            hint="mend or uninstall it, or set KHICHDI_PLUGINS=none to go without",
        ) from error


def _collect(
    manager: pluggy.PluginManager, origins: Mapping[str, Distribution]
) -> dict[tuple[str, str], Registered]:
    found: dict[tuple[str, str], Registered] = {}
    for kind, base in KINDS.items():
        hook = getattr(manager.hook, f"khichdi_{kind}s")
        for implementation in hook.get_hookimpls():
            origin = origins[implementation.plugin_name]
            for plugin in implementation.function():
                _check(plugin, kind, base, origin)
                previous = found.get((kind, plugin.name))
                if previous is not None:
                    raise RegistryError(
                        f"two {kind} plugins are named `{plugin.name}`: "
                        f"{_place(previous.plugin)} of {previous.distribution.name} and "
                        f"{_place(plugin)} of {origin.name}",
                        hint="rename one of them; names are never changed for you",
                    )
                found[kind, plugin.name] = Registered(plugin, origin)
    return found


def _check(plugin: Any, kind: str, base: type[Plugin[Any]], origin: Distribution) -> None:
    """Refuse what breaks the contract, naming class, file and distribution."""
    fault = _fault(plugin, kind, base)
    if fault:
        raise RegistryError(f"{origin.name} {origin.version}: {_place(plugin)}: {fault}")


def _fault(plugin: Any, kind: str, base: type[Plugin[Any]]) -> str | None:
    if not (inspect.isclass(plugin) and issubclass(plugin, base)):
        return f"the hook khichdi_{kind}s returns subclasses of {base.__name__}"
    if inspect.isabstract(plugin):
        missing = ", ".join(sorted(getattr(plugin, "__abstractmethods__", ())))
        return f"it does not define {missing}"
    if not NAME.fullmatch(getattr(plugin, "name", "")):
        return "its `name` must be lower-case words joined by dashes"
    if type(plugin.version) is not int or plugin.version < 1:
        return "its `version` must be an integer of at least 1"
    reserved = RESERVED.get(kind, frozenset({"use"})) | set(getattr(plugin, "sources", ()))
    return _params_fault(plugin.params_model, reserved) or (
        None if plugin.summary() else "its docstring must start with a line that says what it does"
    )


def _params_fault(model: type[Params], reserved: frozenset[str]) -> str | None:
    if not issubclass(model, Params):
        return "its parameters must be a subclass of khichdi.plugins.Params"
    if model.model_config.get("extra") != "forbid" or not model.model_config.get("frozen"):
        return "its parameters must stay closed (extra='forbid') and frozen"
    for name, validator in model.__pydantic_decorators__.model_validators.items():
        if validator.info.mode != "after":
            # Recipes are validated as JSON and strictly; a model validator that runs before turns
            # lists into Python values that are then refused.
            return f"its validator `{name}` must be of mode 'after'"
    for name, field in model.model_fields.items():
        if name in reserved:
            return f"its parameter `{name}` is a word of the recipe language: choose another"
        if not field.description:
            return f"its parameter `{name}` has no description"
    return None


def _place(plugin: Any) -> str:
    module = sys.modules.get(getattr(plugin, "__module__", ""))
    file = getattr(module, "__file__", None) or "unknown file"
    return f"{getattr(plugin, '__qualname__', plugin)!s} ({file})"
