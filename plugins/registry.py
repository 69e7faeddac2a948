"""The registry: every installed plugin, validated and sorted.

A registry is built fresh and is immutable; there is no global plugin manager. The environment
variable `KHICHDI_PLUGINS` limits it: `none` for the built-in ones only, or names of entry points
separated by commas (the built-in ones are always there). A recipe's plugin files are added to the
registry of that recipe, unless `none` is asked for.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from ..schema.did_you_mean import did_you_mean
from ..schema.errors import RegistryError
from ..schema.lock import Distribution
from ..schema.plan import Plan
from . import hookspecs
from .base import Plugin
from .class_checks import fault, place
from .distributions import identify
from .kinds import KINDS
from .plugin_files import FIX, PluginFile, hooks_of

API_VERSION = 1
"""Of the seam between khichdi and plugins. It rises when a plugin would have to change."""
VARIABLE = "KHICHDI_PLUGINS"
BUILTIN = "builtin"
UNDECIDED = "TODO"
"""Stands in a recipe for a plugin that is still to be chosen; no plugin has this name."""
HOOKS = tuple(f"khichdi_{kind}s" for kind in KINDS)
PARTS = 4
"""How many parts of a registry are kept; see `Registry.only`."""
NEXT = "fix or uninstall it, or set KHICHDI_PLUGINS=none to start without it"


@dataclass(frozen=True)
class Registered:
    """A plugin class, and the distribution it came from."""

    plugin: type[Plugin[Any]]
    distribution: Distribution

    @property
    def file(self) -> str | None:
        """Return the sha256 of the plugin file that it came from, if it came from one."""
        return self.distribution.files if self.distribution.local else None


class Registry:
    """Plugins by kind and name, sorted; `refusal` is why plugin files are not run.

    Registries of the same plugins are equal, so that models made of one serve all.
    """

    def __init__(
        self,
        plugins: Mapping[tuple[str, str], Registered],
        points: Mapping[str, Sequence[EntryPoint]] | None = None,
        refusal: str | None = None,
    ) -> None:
        self._plugins = dict(sorted(plugins.items()))
        self._points = points or {}  # by distribution
        self.refusal = refusal
        self._parts: dict[frozenset[str], Registry] = {}

    def __iter__(self) -> Any:
        return iter(self._plugins.values())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Registry) and self._plugins == other._plugins

    def __hash__(self) -> int:
        return hash(tuple(entry.plugin for entry in self))

    def only(self, names: frozenset[str]) -> Registry:
        """Return a registry of the plugins of these names alone; the same one for the same names.

        Models of the plugins that one recipe names are built 90 ms (11 %) faster than of all, in
        `recipe validate quickstart`. A caller that asks for many different parts, such as an
        editor's, is given the whole, whose models are then built once.
        """
        if names not in self._parts and len(self._parts) < PARTS:
            chosen = {key: entry for key, entry in self._plugins.items() if key[1] in names}
            self._parts[names] = Registry(chosen, self._points)
        return self._parts.get(names, self)

    def with_file(self, file: PluginFile) -> Registry:
        """Return a registry that has the plugins of a file too; the file is run for it.

        Raises:
            RegistryError: plugin files are not to be run, or this one does not fit the contract.
        """
        origin = file.distribution
        if origin.files in self.files():
            return self
        if self.refusal is not None:
            raise RegistryError(f"the plugin file {file.name} is not run", hint=self.refusal)
        manager = _manager()
        origins: dict[str, Distribution] = {}
        _register(manager, origins, file.load(), file.name, origin)
        return Registry(_collect(manager, origins, self._plugins), self._points)

    def files(self) -> frozenset[str]:
        """Return the sha256 of the plugin files that plugins came from."""
        return frozenset(entry.file for entry in self._plugins.values() if entry.file)

    def plugin_files(self, plan: Plan) -> list[Distribution]:
        """Return the plugin files that a plan's plugins come from, by name."""
        used = plan.plugin_files()
        found = {e.distribution.name: e.distribution for e in self if e.file in used}
        return [found[name] for name in sorted(found)]

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
        if name == UNDECIDED:
            raise RegistryError(
                f"`{name}` stands for a {kind} that is still to be decided",
                hint=f"write one of: {', '.join(known)}",
            )
        hint = did_you_mean(name, known)
        raise RegistryError(
            f"no {kind} named `{name}` is installed",
            hint=f"{hint}installed: {', '.join(known) or 'none'}",
        )

    def find(self, name: str) -> Registered:
        """Return the plugin of a name, of whatever kind, or of `KIND/NAME`.

        Raises:
            RegistryError: there is none, or plugins of several kinds have the name.
        """
        if "/" in name:
            kind, name = name.split("/", 1)
            return self.get(kind, name)
        found = [entry for (_, known), entry in self._plugins.items() if known == name]
        if len(found) == 1:
            return found[0]
        if found:
            ways = " or ".join(f"`{entry.plugin.kind}/{name}`" for entry in found)
            raise RegistryError(f"{len(found)} plugins are named `{name}`", hint=f"write {ways}")
        hint = did_you_mean(name, sorted({known for _, known in self._plugins}))
        raise RegistryError(
            f"no plugin named `{name}` is installed", hint=f"{hint}`recipe plugins` lists them"
        )

    def create(self, kind: str, name: str, params: Mapping[str, Any]) -> Any:
        """Return an instance with these parameters, validated."""
        plugin = self.get(kind, name).plugin
        return plugin(plugin.params_model.model_validate(params))

    def distributions(self, plan: Plan) -> tuple[Distribution, ...]:
        """Return what a plan's plugins came from, each with the digest of its files, by name.

        khichdi itself is always among them: mixing, splitting and packing are its own.
        """
        used = {(ref.kind, ref.name) for step in plan.steps for ref in step.plugins()}
        found = {
            entry.distribution.name: entry.distribution
            for name, entry in self._plugins.items()
            if name in used or entry.distribution.name == hookspecs.GROUP
        }
        return tuple(identify(found[name], self._points.get(name, ())) for name in sorted(found))


def load_registry(extra: Iterable[object] = (), *, refusal: str | None = None) -> Registry:
    """Load every installed plugin; `extra` are modules or objects with hook implementations.

    `refusal` says how to allow plugin files, where they are not to be run without being asked for.

    Raises:
        RegistryError: a plugin cannot be imported, has a misspelt hook, breaks its kind's
            contract, or takes a name that is taken.
    """
    manager = _manager()
    origins: dict[str, Distribution] = {}
    points: dict[str, list[EntryPoint]] = {}
    for point in _chosen(entry_points(group=hookspecs.GROUP)):
        origin = _distribution(point)
        points.setdefault(origin.name, []).append(point)
        _register(manager, origins, _import(point, origin), point.name, origin)
    for number, module in enumerate(extra):
        name = getattr(module, "__name__", f"extra-{number}")
        _register(manager, origins, module, name, Distribution(name=name, version="0"))
    if os.environ.get(VARIABLE) == "none":
        refusal = f"{VARIABLE}=none allows built-in plugins only"
    return Registry(_collect(manager, origins, {}), points, refusal)


def _manager() -> pluggy.PluginManager:
    manager = pluggy.PluginManager(hookspecs.GROUP)
    manager.add_hookspecs(hookspecs)
    return manager


def _chosen(points: Iterable[EntryPoint]) -> Sequence[EntryPoint]:
    wanted = os.environ.get(VARIABLE)
    # Two distributions may call their entry points the same.
    unique = {(point.name, point.value): point for point in points}
    points = [unique[name] for name in sorted(unique)]
    if wanted is None:
        return points
    names = {BUILTIN} | {name.strip() for name in wanted.split(",")} - {"none"}
    return [point for point in points if point.name in names]


def _distribution(point: EntryPoint) -> Distribution:
    if point.dist is None:
        return Distribution(name=point.name, version="0")
    metadata = point.dist.metadata
    return Distribution(name=metadata["Name"], version=metadata["Version"])


def _import(point: EntryPoint, origin: Distribution) -> Any:
    try:
        return point.load()
    except Exception as error:
        raise RegistryError(
            f"{origin.name} {origin.version}: plugin `{point.name}` ({point.value}) cannot be "
            f"imported: {type(error).__name__}: {error}",
            hint=NEXT,
        ) from error


def _register(
    manager: pluggy.PluginManager,
    origins: dict[str, Distribution],
    module: Any,
    name: str,
    origin: Distribution,
) -> None:
    """Take a module in, unless one of its hooks is misspelt, unmarked, or of another API."""
    who = f"{origin.name} {origin.version}: {place(module)}"
    asked = getattr(module, "KHICHDI_API", API_VERSION)
    if asked != API_VERSION:
        raise RegistryError(
            f"{who} is written for version {asked} of the plugin API, this is version "
            f"{API_VERSION}",
            hint="install the version of it that goes with this khichdi, or uninstall it",
        )
    hooks = hooks_of(module)
    for hook in hooks:
        if hook not in HOOKS:
            meant = did_you_mean(hook, HOOKS)
            raise RegistryError(
                f"{who}: there is no hook `{hook}`", hint=f"{meant}the hooks are {', '.join(HOOKS)}"
            )
        if not hasattr(getattr(module, hook), f"{hookspecs.GROUP}_impl"):
            raise RegistryError(f"{who}: `{hook}` is not marked", hint="put @hookimpl above it")
    if not hooks:
        raise RegistryError(f"{who} has no hook", hint=f"the hooks are {', '.join(HOOKS)}")
    key = f"{origin.name}/{name}"
    origins[key] = origin
    try:
        manager.register(module, name=key)
    except (pluggy.PluginValidationError, ValueError) as error:
        raise RegistryError(f"{who}: {error}", hint=_next(origin)) from None


def _next(origin: Distribution) -> str:
    """Return what to do about a plugin that cannot be used."""
    return FIX if origin.local else NEXT


def _collect(
    manager: pluggy.PluginManager,
    origins: Mapping[str, Distribution],
    known: Mapping[tuple[str, str], Registered],
) -> dict[tuple[str, str], Registered]:
    """Return the plugins that are known already with those of a manager, each checked."""
    found = dict(known)
    for kind, base in KINDS.items():
        hook = getattr(manager.hook, f"khichdi_{kind}s")
        for implementation in hook.get_hookimpls():
            origin = origins[implementation.plugin_name]
            for plugin in _returned(implementation, kind, base, origin):
                previous = found.get((kind, plugin.name))
                if previous is not None:
                    raise RegistryError(
                        f"two {kind} plugins are named `{plugin.name}`: "
                        f"{place(previous.plugin)} of {previous.distribution.name} and "
                        f"{place(plugin)} of {origin.name}",
                        hint="rename one of them; names are never changed for you",
                    )
                found[kind, plugin.name] = Registered(plugin, origin)
    return found


def _returned(
    implementation: Any, kind: str, base: type[Plugin[Any]], origin: Distribution
) -> list[type[Plugin[Any]]]:
    """Return the classes that a hook gives, each checked; names class, file and distribution."""
    who = f"{origin.name} {origin.version}"
    try:
        plugins = list(implementation.function())
    except Exception as error:
        raise RegistryError(
            f"{who}: the hook khichdi_{kind}s of {place(implementation.plugin)} gives no list of "
            f"classes: {type(error).__name__}: {error}",
            hint=_next(origin),
        ) from error
    for plugin in plugins:
        wrong = fault(plugin, kind, base)
        if wrong:
            where = place(plugin if isinstance(plugin, type) else implementation.plugin)
            raise RegistryError(f"{who}: {where}: {wrong}", hint=_next(origin))
    return plugins
