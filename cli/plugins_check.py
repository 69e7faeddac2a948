"""Run the conformance kit on installed plugins or a plugin file: one line each, and what to fix."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any
from unittest import SkipTest

from ..plugins.plugin_files import PluginFile
from ..plugins.registry import Registered, Registry, load_registry
from ..project.bundled_recipes import open_recipe
from .output import columns, emit


def run(options: Namespace) -> int:
    """Run the kit on the plugins that were named, or on all; 1 when one does not conform."""
    registry = load_registry()
    chosen = [entry for name in options.names for entry in _named_by(name, registry)]
    chosen = chosen or list(registry)
    found = [check(entry) for entry in chosen if options.kind in (None, entry.plugin.kind)]
    wrong = sum(not document["conforms"] for document in found)
    lines = [columns([_row(document) for document in found])]
    lines += [
        f"{document['kind']} {document['name']}: {failure['test']}\n    {failure['message']}"
        for document in found
        for failure in document["failures"]
    ]
    lines.append(f"{len(found) - wrong} of {len(found)} plugins conform")
    emit(options, {"conform": not wrong, "plugins": found}, "\n".join(lines))
    return 1 if wrong else 0


def _named_by(name: str, registry: Registry) -> list[Registered]:
    """Return the plugin of a name, or every plugin of a plugin file."""
    if not name.endswith(".py"):
        return [registry.find(name)]
    path, content = open_recipe(name if "/" in name else f"./{name}", Path.cwd())
    file = PluginFile(name, path, content)
    return [e for e in registry.with_file(file) if e.file == file.distribution.files]


def check(entry: Registered) -> dict[str, Any]:
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


def _row(document: dict[str, Any]) -> tuple[str, ...]:
    counts = [f"{document['passed']} passed"]
    counts += [f"{len(document[k])} {w}" for k, w in _COUNTED if document[k]]
    verdict = "conforms" if document["conforms"] else "FAILS"
    where = document["distribution"]
    return document["kind"], document["name"], where, verdict, ", ".join(counts)


_COUNTED = (("skipped", "not applicable here"), ("failures", "failed"))
