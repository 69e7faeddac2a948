"""The work on one recipe: reads its values, puts another tool's, and notes what became of each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..language.paths import below

Place = tuple[str | int, ...]

NOTHING: tuple[Any, ...] = (None, False, [], {}, "")
"""Values by which nothing is asked for."""
INERT = {
    "recipe": "the version of the language",
    "name": "a name for the run",
    "description": "a description",
    "plugins": "plugin files beside the recipe",
    "benchmarks": "rows that are kept out of training",
    "evaluate": "measured after training",
    "export": "made after training",
    "rules": "checked, and changes nothing",
    "expect": "an estimate before the data is read",
    "license": "a license is recorded, and changes nothing",
    "on_bad_row": "a row that cannot be read ends a run here",
    "determinism": "how exactly a run is reproduced",
    "replay_segments": "how a run is audited",
    "cpu_threads": "how a run is reproduced on a CPU",
    "save_total_limit": "how many checkpoints are kept",
    "dataloader_num_workers": "how batches are prepared",
    "logging_dir": "where TensorBoard's logs are",
    "weight_cache_gib": "memory, and no result",
    "activation_budget_gib": "memory, and no result",
    "activation_offloading": "memory, and no result",
    "save_steps": "when checkpoints are written",
    "saves_per_epoch": "when checkpoints are written",
    "loss_watchdog_patience": "it goes with `loss_watchdog_threshold`",
}
"""Parameters that change no training, by the last part of their path or by their section."""


@dataclass(frozen=True)
class Entry:
    """A value of a recipe: what it became there, or why it did not."""

    path: str
    value: Any
    theirs: dict[str, Any] = field(default_factory=dict)
    note: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the entry for scripts."""
        return {"path": self.path, "value": self.value, "theirs": self.theirs, "note": self.note}


class Outgoing:
    """A recipe on its way to a configuration, with the three lists of its values."""

    def __init__(self, recipe: dict[str, Any], tool: str) -> None:
        self.recipe, self.tool = recipe, tool
        self.config: dict[str, Any] = {}
        self.mapped: list[Entry] = []
        self.inert: list[Entry] = []
        self.not_mapped: list[Entry] = []
        self.done: set[Place] = set()

    def value(self, *place: str | int) -> Any:
        """Return the value at a path, or None."""
        data: Any = self.recipe
        for part in place:
            if isinstance(data, dict):
                data = data.get(part)
            else:
                data = data[part] if isinstance(data, list) and isinstance(part, int) else None
        return data

    def text(self, path: str) -> Any:
        """Return the value at a path with dots."""
        return self.value(*path.split("."))

    def put(self, path: str | Place, theirs: dict[str, Any], note: str | None = None) -> None:
        """Say in the configuration what a value says, and those below it."""
        self.config |= theirs
        self._note(self.mapped, path, theirs, note)

    def skip(self, path: str | Place, why: str) -> None:
        """Note a value, and those below it, as doing nothing there."""
        self._note(self.inert, path, {}, why)

    def lose(self, path: str | Place, would: str) -> None:
        """Note a value with all that is below it as not mapped."""
        place: Place = tuple(path.split(".")) if isinstance(path, str) else path
        if set(_leaves(self.value(*place), place)) <= self.done:
            return
        self.not_mapped.append(Entry(_text(place), self.value(*place), {}, would))
        self.done.update(_leaves(self.value(*place), place))

    def rename(self, **names: str) -> None:
        """Put parameters of `train` that the tool has under another name, where they are set."""
        for ours, theirs in names.items():
            if self.value("train", ours) is not None:
                self.put(f"train.{ours}", {theirs: self.value("train", ours)})

    def _note(
        self, entries: list[Entry], path: str | Place, theirs: dict[str, Any], note: str | None
    ) -> None:
        place: Place = tuple(path.split(".")) if isinstance(path, str) else path
        for leaf in _leaves(self.value(*place), place):
            if leaf not in self.done:
                entries.append(Entry(_text(leaf), self.value(*leaf), theirs, note))
                self.done.add(leaf)

    def finish(self) -> None:
        """Note every value that was not translated."""
        for leaf in _leaves(self.recipe, ()):
            if leaf in self.done:
                continue
            words = [part for part in leaf if isinstance(part, str)]
            named = (words[-1], words[0], *words[2:])  # the second may be a name of the user's
            why = next((INERT[word] for word in named if word in INERT), None)
            if why:
                self.skip(leaf, why)
            elif self.value(*leaf) in NOTHING:
                self.skip(leaf, "not asked for")
            else:
                steps = [n for n, part in enumerate(leaf) if isinstance(part, int)]
                place = leaf[: steps[-1] + 1] if steps else leaf
                self.lose(place, f"{self.tool} has no such parameter, or not in this combination")


def _leaves(value: Any, place: Place) -> list[Place]:
    """Return the places of values that hold no further ones; a step of a list is gone into."""
    if isinstance(value, dict) and value:
        return [leaf for key, item in value.items() for leaf in _leaves(item, (*place, key))]
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        return [leaf for n, item in enumerate(value) for leaf in _leaves(item, (*place, n))]
    return [place]


def _text(place: Place) -> str:
    text = ""
    for part in place:
        text = f"{text}[{part}]" if isinstance(part, int) else below(text, part)
    return text
