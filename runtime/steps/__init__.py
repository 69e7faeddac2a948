"""Step implementations by kind; a module is loaded only when a step of its kind runs."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from .context import Context, Outcome

MODULES = {
    "source": "source:bring",
    "tokens": "tokens:set_tokens",
    "reader": "rows:read",
    "filter": "filter:filter_rows",
    "scorer": "rows:score",
    "sampler": "rows:sample",
    "mixture": "mixture:mix",
    "split": "mixture:split",
    "pack": "pack:pack_rows",
    "runtime": "train:train",
    "evaluator": "evaluate:evaluate",
    "exporter": "export:export",
}


def implementation(kind: str) -> Callable[[Context], Outcome]:
    """Return the function that does a step of this kind."""
    module, name = MODULES[kind].split(":")
    found: Callable[[Context], Outcome] = getattr(import_module(f".{module}", __name__), name)
    return found
