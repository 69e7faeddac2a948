"""An objection of a plugin to a recipe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Breach:
    """A broken rule or a contradiction: the message, its path in the recipe, and what to change.

    A `warning` does not refuse the recipe: the breach is doubtful, or cannot be known yet.
    """

    message: str
    path: tuple[str | int, ...] = ()
    hint: str | None = None
    severity: Literal["error", "warning"] = "error"
