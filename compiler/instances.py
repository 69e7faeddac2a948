"""Make the plugins that a bound recipe names, and ask them questions about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from ..plugins.registry import Registry
from ..plugins.side_effects import PluginError
from ..schema.errors import KhichdiError
from ..schema.recipe import Step

Answer = TypeVar("Answer")


def instance(registry: Registry, kind: str, step: Step) -> Any:
    """Return the plugin of a step with its own parameters."""
    own = registry.get(kind, step.use).plugin.params_model.model_fields
    params = {name: value for name, value in step.params().items() if name in own}
    return registry.create(kind, step.use, params)


def ask(registry: Registry, kind: str, step: Step, question: Callable[[Any], Answer]) -> Answer:
    """Return a plugin's answer to a question.

    Raises:
        PluginError: it failed; names the plugin and its distribution.
    """
    return asked(registry, instance(registry, kind, step), question)


def asked(registry: Registry, plugin: Any, question: Callable[[Any], Answer]) -> Answer:
    """Return the answer of a plugin that was made; raises as `ask` does."""
    try:
        return question(plugin)
    except PluginError as error:
        raise failure(registry, plugin.kind, plugin.name, error.message) from error
    except KhichdiError:
        raise
    except Exception as error:
        message = f"{type(error).__name__}: {error}"
        raise failure(registry, plugin.kind, plugin.name, message) from error


def failure(registry: Registry, kind: str, name: str, message: str) -> PluginError:
    """Return the error of a plugin that failed when it was asked about a recipe."""
    origin = registry.get(kind, name).distribution
    return PluginError(
        f"{kind} `{name}` of {origin.name} {origin.version}: {message}",
        hint="this is a fault in the plugin; a recipe without it can still be used",
    )


def base_title(registry: Registry, step: Step) -> str | None:
    """Return the public name of a recipe's base, `owner/name` or a package, if it has one."""
    found: str | None = ask(registry, "source", step, lambda source: source.title())
    return found
