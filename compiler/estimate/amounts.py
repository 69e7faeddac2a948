"""Count the rows, tokens and optimizer steps of a recipe, as far as they are known.

Counted numbers go before those that the sampler declares, these before what the recipe expects, and
these before assumptions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from ...plugins import Schedule
from ...plugins.registry import Registry
from ...schema.estimate import Basis, Bound, DataEstimate
from ...schema.recipe import Recipe
from ..instances import ask
from .model_steps import WaitingStep

TOKENS_PER_ROW = 200
"""Tokens of a row where none were counted: about the mean of instruction data such as Birbal's."""
FILL = 0.995
"""How full packs are at least, over data sets of thousands of rows."""


@dataclass(frozen=True)
class Known:
    """The counts and measurements that a store has of a recipe.

    Attributes:
        rows: by data set, rows after its sampler.
        before: by data set, rows of the last step before its sampler that is done.
        filtered: data sets of which only the sampler has to run.
        split: rows to train on.
        held_out: rows held out.
        packs: facts of the training packs: packs, tokens, response_tokens.
        tokens_per_row: of another run with this base and template.
        tokens_per_second: of training on this machine with this base, and `measured` by what.
        seconds: what this very training took.
        sources: by source, bytes of its pinned files; None where it is not pinned.
        fetched: sources that are in the store.
        waiting: steps that have to run, but for sources and training.
    """

    rows: Mapping[str, int] = field(default_factory=dict)
    before: Mapping[str, int] = field(default_factory=dict)
    filtered: frozenset[str] = frozenset()
    split: int | None = None
    held_out: int | None = None
    packs: Mapping[str, Any] | None = None
    tokens_per_row: float | None = None
    tokens_per_second: float | None = None
    measured: str | None = None
    seconds: float | None = None
    sources: Mapping[str, int | None] = field(default_factory=dict)
    fetched: frozenset[str] = frozenset()
    waiting: tuple[WaitingStep, ...] = ()


NOTHING = Known()


@dataclass(frozen=True)
class Amount:
    """The amount of data to train on.

    Attributes:
        rows: to train on.
        tokens: of one epoch.
        packs: of one epoch.
        held_out: rows held out.
        a_pack: tokens of a pack on average.
        steps: optimizer steps in all; None where the runtime does not report it.
        trained: tokens trained on in all; None likewise.
    """

    rows: int
    tokens: int
    packs: int
    held_out: int
    a_pack: float
    steps: int | None
    trained: int | None

    def bound(self, seconds: float | None) -> Bound:
        """Return this amount as the least or the most that a training takes."""
        return Bound(
            rows=self.rows, tokens=self.tokens, packs=self.packs, steps=self.steps, seconds=seconds
        )


@dataclass(frozen=True)
class Found:
    """The likely amount, and its bounds where it is not certain; None where nothing tells."""

    likely: Amount | None
    least: Amount | None
    most: Amount | None


class Amounts:
    """Rows, tokens and steps of a recipe.

    Attributes:
        data: rows by data set.
        per_row: tokens of a row on average.
        assumed: in sentences, the assumptions that the numbers rest on.
        unknown: sentences on each unknown amount, and why.
    """

    def __init__(
        self, recipe: Recipe, registry: Registry, schedule: Schedule | None, known: Known
    ) -> None:
        self.recipe, self.registry, self.schedule, self.known = recipe, registry, schedule, known
        self.assumed: list[str] = []
        self.unknown: list[str] = []
        self.data = {name: self._data_set(name) for name in sorted(recipe.data)}
        self.per_row = self._tokens_per_row()

    def find(self) -> Found:
        """Return the likely amount, and its bounds where they are known and differ from it."""
        likely, least, most = self._rows()
        amount = None if likely is None else self._amount(likely)
        return Found(
            likely=amount,
            least=self._amount(least) if least and least != likely else None,
            most=self._amount(most) if most and most != likely else None,
        )

    def rows(self) -> int | None:
        """Return the rows of the mixture less those for validation; None where not known."""
        return self._rows()[0]

    # ---- rows -------------------------------------------------------------------------------

    def _data_set(self, name: str) -> DataEstimate:
        """Return the rows of a data set: counted, or as its sampler or the recipe expects them."""
        if name in self.known.rows:
            rows = self.known.rows[name]
            return DataEstimate(rows=rows, basis="counted", at_least=rows, at_most=rows)
        data, before = self.recipe.data[name], self.known.before.get(name)
        fewest, _ = ask(self.registry, "sampler", data.sample, lambda s: s.expected(None))
        least, most = ask(self.registry, "sampler", data.sample, lambda s: s.expected(before))
        if name not in self.known.filtered:
            least = fewest  # a filter that did not run yet may drop any row
        bounds = {"at_least": least, "at_most": most}
        if least == most:
            basis: Basis = "declared" if least == fewest else "counted"
            return DataEstimate(rows=most, basis=basis, **bounds)
        if data.expect is not None:
            rows = max(least, min(data.expect.rows, data.expect.rows if most is None else most))
            return DataEstimate(rows=rows, basis="expected", **bounds)
        if most is None:
            why = "the sampler names no number, and the source was not read yet"
            return DataEstimate(rows=None, basis="unknown", why=why, **bounds)
        return DataEstimate(rows=most, basis="at most", **bounds)

    def _rows(self) -> tuple[int | None, int, int | None]:
        """Return the rows to train on: likely, at least and at most; None where nothing tells."""
        if self.known.split is not None:
            return self.known.split, self.known.split, self.known.split
        self._explain()
        sets = self.data.values()
        likely = _total([data.rows for data in sets])
        most = _total([data.at_most for data in sets])
        least = sum(data.at_least for data in sets)
        return self._to_train(likely), max(0, least - self._held_out(least)), self._to_train(most)

    def _to_train(self, rows: int | None) -> int | None:
        return None if rows is None else max(0, rows - self._held_out(rows))

    def _explain(self) -> None:
        """Say what is unknown, and what the numbers of rows assume."""
        missing = {name: data.why for name, data in self.data.items() if data.rows is None}
        for why in dict.fromkeys(missing.values()):
            names = ", ".join(f"data.{name}" for name, reason in missing.items() if reason == why)
            self.unknown.append(f"rows of {names}: {why}")
        if self.recipe.mixture.filters:
            self.assumed.append("filters of the mixture drop nothing")
        most = [name for name, data in self.data.items() if data.basis == "at most"]
        if most and not missing:
            names = ", ".join(f"data.{name}" for name in most)
            self.assumed.append(f"as many rows as they may have: {names}")

    def _held_out(self, rows: int) -> int:
        if self.known.held_out is not None:
            return self.known.held_out
        wanted = self.recipe.mixture.validation
        if wanted is None:
            return 0
        return wanted.count or ceil((wanted.fraction or 0.0) * rows)

    # ---- tokens and steps -------------------------------------------------------------------

    def _tokens_per_row(self) -> float:
        packs, train = self.known.packs, self.recipe.train
        limit = train.sequence_len if train else TOKENS_PER_ROW
        if packs and packs.get("rows"):
            return float(packs["tokens"] / packs["rows"])
        if self.known.tokens_per_row is not None:
            self.assumed.append(
                f"{self.known.tokens_per_row:.0f} tokens a row, as in an earlier run"
            )
            return min(float(limit), self.known.tokens_per_row)
        return self._expected_tokens_per_row(limit)

    def _expected_tokens_per_row(self, limit: int) -> float:
        """Return the mean over the data sets: as the recipe expects, else a usual number."""
        usual = min(TOKENS_PER_ROW, limit)
        expected = {
            name: data.expect.tokens_per_row
            for name, data in self.recipe.data.items()
            if data.expect is not None and data.expect.tokens_per_row is not None
        }
        others = [name for name in self.data if name not in expected]
        if others:
            names = f" of {', '.join(f'data.{name}' for name in others)}" if expected else ""
            self.assumed.append(f"{usual} tokens a row{names}: none were counted yet")
        rows = {name: data.rows or 0 for name, data in self.data.items()}
        if not any(rows.values()):
            rows = dict.fromkeys(rows, 1)
        total = sum(count * min(expected.get(name) or usual, limit) for name, count in rows.items())
        return total / sum(rows.values())

    @property
    def trained_share(self) -> float:
        """Return the share of tokens that the loss counts; 1 where it was not counted."""
        packs = self.known.packs
        return packs["response_tokens"] / packs["tokens"] if packs else 1.0

    def _amount(self, rows: int) -> Amount:
        (_, train), packed = self.recipe.training(), self.known.packs
        full = train.sequence_len * FILL
        if packed:
            tokens, packs = int(packed["tokens"]), int(packed["packs"])
        else:
            tokens = round(rows * self.per_row)
            packs = ceil(tokens / full) if train.sample_packing else rows
        a_pack = tokens / packs if packs else (full if train.sample_packing else self.per_row)
        steps, trained = self._steps(tokens, packs, a_pack)
        return Amount(rows, tokens, packs, self._held_out(rows), a_pack, steps, trained)

    def _steps(self, tokens: int, packs: int, a_pack: float) -> tuple[int | None, int | None]:
        """Return the optimizer steps, and the tokens that they train on."""
        schedule = self.schedule
        if schedule is None:
            runtime = self.recipe.training()[1].use
            text = f"steps: runtime `{runtime}` does not tell how long it trains"
            if text not in self.unknown:
                self.unknown.append(text)
            return None, None
        steps, an_epoch = schedule.steps(packs), ceil(packs / schedule.batch)
        if schedule.total_steps and not self.known.packs:
            return steps, round(steps * schedule.batch * a_pack)
        return steps, round(tokens * steps / an_epoch) if an_epoch else 0


def _total(counts: list[int | None]) -> int | None:
    """Return the sum; None where one of them is not known."""
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None
