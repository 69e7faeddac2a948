"""Fine-tuning recipes for language models that can be written, diffed, run and proved.

    project = khichdi.open_recipe("quickstart")
    run = project.run()
    print(run.metrics, run.adapter)
    print(khichdi.audit(run).verdict)

Each name is imported when it is first used, as commands start without most of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .project.observer import Observer as Observer
    from .project.project import Project as Project
    from .project.project import audit as audit
    from .project.project import evaluate as evaluate
    from .project.project import open_recipe as open_recipe
    from .project.project import validate as validate
    from .project.run_lookup import Run as Run
    from .project.run_lookup import open_run as open_run
    from .schema.errors import KhichdiError as KhichdiError

    __version__: str

__all__ = [
    "KhichdiError",
    "Observer",
    "Project",
    "Run",
    "__version__",
    "audit",
    "evaluate",
    "open_recipe",
    "open_run",
    "validate",
]

_MODULES = {
    "KhichdiError": "schema.errors",
    "Observer": "project.observer",
    "Project": "project.project",
    "Run": "project.run_lookup",
    "audit": "project.project",
    "evaluate": "project.project",
    "open_recipe": "project.project",
    "open_run": "project.run_lookup",
    "validate": "project.project",
}


if not TYPE_CHECKING:  # else type checkers would take every name for an attribute

    def __getattr__(name: str) -> Any:
        """Import a public name when it is first used."""
        from importlib import import_module, metadata

        if name == "__version__":
            return metadata.version("khichdi")
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f".{_MODULES[name]}", __name__), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
