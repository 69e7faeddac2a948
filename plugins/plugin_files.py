"""Plugin files: a Python file beside a recipe whose plugin classes the recipe may name.

A plugin file is loaded as a standalone module: only its own bytes are in the lock and in
keys, and the folder that it is in is not searched for imports. The name of the module holds the
file's path and the digest of its bytes. A process that unpickles one of its classes imports the
module by that name, and gets the same bytes or an error.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from ..schema.errors import RegistryError
from ..schema.lock import Distribution
from .base import Plugin
from .hookspecs import GROUP, hookimpl
from .kinds import KINDS

PREFIX = "khichdi_file_"
"""Begins the names of modules that are plugin files."""
FIX = "fix the file, or take it out of `plugins:`"
SHORT = 12
"""Hexadecimal digits of the digest that stand for a file's version."""

_contents: dict[str, bytes] = {}
"""The bytes of modules that are being loaded; in other processes they are read from the path."""


@dataclass(frozen=True)
class PluginFile:
    """A Python file with plugins.

    Attributes:
        name: its path seen from the recipe, for messages, locks and records.
        path: where it is, absolute.
        content: its bytes.
    """

    name: str
    path: Path
    content: bytes

    @cached_property
    def distribution(self) -> Distribution:
        """Return the file as the lock and the record have it."""
        digest = hashlib.sha256(self.content).hexdigest()
        return Distribution(
            name=self.name, version=digest[:SHORT], files=f"sha256:{digest}", local=True
        )

    def load(self) -> ModuleType:
        """Import the file, which runs its top level; a second time returns the same module.

        Its hooks return its plugin classes, unless it has hooks of its own.

        Raises:
            RegistryError: it cannot be imported, or has no plugins; names the file and the line.
        """
        name = _module_name(self.path, self.content)
        known = sys.modules.get(name)
        if known is not None:
            return known
        _contents[name] = self.content
        try:
            module = importlib.import_module(name)
        except (Exception, SystemExit) as error:
            line, words = _located(error, self.path)
            raise RegistryError(f"{self.name}, line {line}: {words}", hint=FIX) from error
        finally:
            del _contents[name]
        try:
            _add_hooks(module, self.name)
        except RegistryError:
            del sys.modules[name]
            raise
        return module


def hooks_of(module: object) -> list[str]:
    """Return the names in a module that are, or look like, hooks."""
    words = [word for word in dir(module) if word.startswith(f"{GROUP}_")]
    return [word for word in words if not inspect.ismodule(getattr(module, word))]


def _add_hooks(module: ModuleType, name: str) -> None:
    if hooks_of(module):
        return
    classes = _plugin_classes(module)
    if not classes:
        raise RegistryError(
            f"{name} defines no plugin",
            hint="define a class on one of the bases in khichdi.plugins, such as Filter or Reader; "
            "names that start with an underscore are not looked at",
        )
    for kind, base in KINDS.items():
        found = [one for one in classes if issubclass(one, base)]
        if found:
            setattr(module, f"{GROUP}_{kind}s", _hook(found))


def _plugin_classes(module: ModuleType) -> list[type[Plugin[Any]]]:
    """Return the plugin classes that a module defines, not those that it imports."""
    return [
        one
        for name, one in vars(module).items()
        if inspect.isclass(one)
        and issubclass(one, Plugin)
        and one.__module__ == module.__name__
        and not name.startswith("_")
    ]


def _hook(classes: Sequence[type[Plugin[Any]]]) -> Callable[[], Sequence[type[Plugin[Any]]]]:
    @hookimpl
    def classes_of_the_file() -> Sequence[type[Plugin[Any]]]:
        return classes

    return classes_of_the_file


def _located(error: BaseException, path: Path) -> tuple[int, str]:
    """Return the line of a file that an error is about, and the error in words."""
    name = type(error).__name__
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return error.lineno or 1, f"{name}: {error.msg}"
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(path)]
    return (lines[-1] if lines else 0) or 1, f"{name}: {error}"


# ---- importing by name ----------------------------------------------------------------------


def _module_name(path: Path, content: bytes) -> str:
    return f"{PREFIX}{hashlib.sha256(content).hexdigest()}_{os.fsencode(path).hex()}"


class _Importer(MetaPathFinder, Loader):
    """Imports plugin files by the names of their modules."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Return how to import a plugin file, or None for other modules."""
        if not fullname.startswith(PREFIX):
            return None
        place = os.fsdecode(bytes.fromhex(fullname.rpartition("_")[2]))
        return spec_from_file_location(fullname, place, loader=self)

    def exec_module(self, module: ModuleType) -> None:
        """Run the file's bytes, if they are still those in the name."""
        path = Path(str(module.__file__))
        content = _contents.get(module.__name__)
        if content is None:
            content = path.read_bytes()
        if _module_name(path, content) != module.__name__:
            raise ImportError(f"{path.name} was changed while it was in use")
        exec(compile(content, path, "exec", dont_inherit=True), vars(module))


def install() -> None:
    """Make plugin files importable in this process by module name."""
    if not any(isinstance(finder, _Importer) for finder in sys.meta_path):
        sys.meta_path.append(_Importer())
