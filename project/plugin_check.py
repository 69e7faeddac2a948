"""Run the conformance kit on installed plugins, or on those of a plugin file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import SkipTest

from ..plugins.plugin_files import PluginFile
from ..plugins.registry import Registered, Registry, load_registry
from .bundled_recipes import open_recipe


def check_plugins(names: Sequence[str], kind: str | None) -> list[dict[str, Any]]:
    """Run the kit on the plugins that are named, or on all; return a document for each.

    Args:
        names: names of plugins, or paths of plugin files.
        kind: only plugins of this kind.

    Raises:
        RegistryError: there is no such plugin, or it cannot be loaded.
    """
    registry = load_registry()
    chosen = [entry for name in names for entry in _named_by(name, registry)] or list(registry)
    return [check_plugin(entry) for entry in chosen if kind in (None, entry.plugin.kind)]


def _named_by(name: str, registry: Registry) -> list[Registered]:
    """Return the plugin of a name, or every plugin of a plugin file."""
    if not name.endswith(".py"):
        return [registry.find(name)]
    path, content = open_recipe(name if "/" in name else f"./{name}", Path.cwd())
    file = PluginFile(name, path, content)
    return [e for e in registry.with_file(file) if e.file == file.distribution.files]


def check_plugin(entry: Registered) -> dict[str, Any]:
    """Run the kit of its kind on one plugin, with its example and the kit's own material."""
    from ..plugins.testing import kit_for

    plugin = entry.plugin
    kit: Any = type("Kit", (kit_for(plugin.kind),), {"plugin": plugin})()
    passed, skipped, failures = 0, [], []
    for name in (name for name in dir(kit) if name.startswith("test_")):
        words = name.removeprefix("test_").replace("_", " ")
        try:
            getattr(kit, name)()
            passed += 1
        except SkipTest as reason:
            skipped.append({"test": words, "reason": str(reason)})
        except Exception as error:
            text = str(error) if isinstance(error, AssertionError) else _named(error)
            failures.append({"test": words, "message": text})
    return {
        "kind": plugin.kind,
        "name": plugin.name,
        "distribution": f"{entry.distribution.name} {entry.distribution.version}",
        "conforms": not failures,
        "passed": passed,
        "skipped": skipped,
        "failures": failures,
    }


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
