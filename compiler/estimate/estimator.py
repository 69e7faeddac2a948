"""Rows, tokens, steps, memory, time and disk of a recipe, before anything is spent.

What was counted goes before what the recipe declares, and that before an assumption; whatever is
assumed is said. Formulas and their sources are in docs/estimates.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from ...schema.architecture import Architecture
from ...schema.estimate import Bound, DataEstimate, Disk, Estimate, Memory, Saving
from ...schema.recipe import DataSet, Recipe
from .devices import Device
from .memory import Batch, memory, savings, stored_layers, trained_shapes, unsupported
from .training_time import Work, flops_per_token, seconds

TOKENS_PER_ROW = 200
"""Tokens of a row where none were counted: about the mean of instruction data such as Birbal's."""
FILL = 0.995
"""How full packs are at least, over data sets of thousands of rows."""
BYTES_PER_TOKEN = 4
"""Text of a token, about."""


@dataclass(frozen=True)
class Known:
    """What has been counted and measured; whoever has a store fills it.

    Attributes:
        rows: by data set, rows that its sampler let through.
        before: by data set, rows of the last step before its sampler that is done.
        filtered: data sets whose sampler is all that is left to do.
        split: rows to train on.
        held_out: rows held out.
        packs: facts of the training packs: packs, tokens, response_tokens.
        tokens_per_row: of another run with this base and template.
        tokens_per_second: of training on this machine with this base, and `measured` by what.
        seconds: what this very training took.
        sources: by source, bytes of its pinned files; None where it is not pinned.
        fetched: sources that are in the store.
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


NOTHING = Known()
UNKNOWN_BASE = "the base's architecture is not known: it is not in the store, nor in the table"


@dataclass(frozen=True)
class Amount:
    """How much there is to train on.

    Attributes:
        rows: to train on.
        tokens: of one epoch.
        packs: of one epoch.
        steps: optimizer steps in all.
        trained: tokens trained on in all.
        a_pack: tokens of a pack on average.
        held_out: rows held out.
    """

    rows: int
    tokens: int
    packs: int
    steps: int
    trained: int
    a_pack: float
    held_out: int


def estimate(
    recipe: Recipe,
    architecture: Architecture | None,
    device: Device | None = None,
    known: Known = NOTHING,
) -> Estimate:
    """Return what a bound recipe will take.

    Args:
        recipe: the bound recipe.
        architecture: of its base, or None where it is not known.
        device: what it is to train on; without one time is known only where it was measured,
            and memory is a GPU's.
        known: what has been counted and measured.
    """
    return _Estimator(recipe, architecture, device, known).estimate()


class _Estimator:
    def __init__(
        self,
        recipe: Recipe,
        architecture: Architecture | None,
        device: Device | None,
        known: Known,
    ) -> None:
        self.recipe, self.device, self.known = recipe, device, known
        self.train: Any = recipe.train
        self.assumed: list[str] = []
        self.unknown: list[str] = []
        self.gpu = device is None or device.gpu
        self.architecture = architecture
        fault = unsupported(recipe)
        if architecture is None and fault is None:
            fault = UNKNOWN_BASE
        if fault:
            self.architecture = None
            self.unknown.append(f"memory and time: {fault}")
        self.data = {name: self._data_set(name) for name in sorted(recipe.data)}
        self.per_row = self._tokens_per_row()

    def estimate(self) -> Estimate:
        rows, least = self._rows()
        amount = self._amount(rows) if rows is not None else None
        bound = self._amount(least) if rows is None and least else None
        took, second = self._seconds(amount), self._seconds(bound)
        account, saved = self._memory()
        architecture = self.architecture
        shapes = trained_shapes(self.recipe, architecture) if architecture else None
        steps = self.train.max_steps if amount is None and "max_steps" in self._words() else None
        return Estimate(
            rows=rows,
            tokens=amount.tokens if amount else None,
            packs=amount.packs if amount else None,
            steps=amount.steps if amount else steps,
            gpu_memory_bytes=account.total if account and self.gpu else None,
            seconds=took,
            at_least=_bound(bound, second),
            device=self.device.name if self.device else None,
            device_memory_bytes=self.device.memory_bytes if self.device else None,
            memory=account,
            layers=architecture.layers if architecture else None,
            stored_layers=self._stored(),
            trained=sum(shapes) if shapes is not None else None,
            parameters=architecture.parameters if architecture else None,
            flops_per_token=self._flops(),
            tokens_per_second=_rate(amount or bound, took or second),
            rate=self._rate_source() if took or second else None,
            counted=self.known.packs is not None,
            data=self.data,
            disk=self._disk(amount, shapes),
            savings=saved,
            assumed=tuple(self.assumed),
            unknown=tuple(self.unknown),
        )

    # ---- rows and tokens --------------------------------------------------------------------

    def _data_set(self, name: str) -> DataEstimate:
        if name in self.known.rows:
            return DataEstimate(rows=self.known.rows[name], basis="counted")
        data: DataSet = self.recipe.data[name]
        params = data.sample.params()
        before = self.known.before.get(name)
        count = params.get("count") or params.get("total")
        if count:
            sure = params.get("short", "error") == "error" and bool(params.get("count"))
            if before is not None and before < count:
                return DataEstimate(rows=before, basis="at most")
            return DataEstimate(rows=int(count), basis="declared" if sure else "at most")
        if before is None:
            why = "the sampler names no number, and the source was not read yet"
            return DataEstimate(rows=None, basis="unknown", why=why)
        share = params.get("fraction") or 1.0
        sure = data.sample.use == "all" and name in self.known.filtered
        return DataEstimate(rows=round(share * before), basis="counted" if sure else "at most")

    def _rows(self) -> tuple[int | None, int]:
        """Return the rows to train on where they are known, and how many they are at least."""
        if self.known.split is not None:
            return self.known.split, self.known.split
        rows = [data.rows for data in self.data.values()]
        sure = sum(d.rows or 0 for d in self.data.values() if d.basis in ("counted", "declared"))
        missing = [name for name, data in self.data.items() if data.rows is None]
        most = [name for name, data in self.data.items() if data.basis == "at most"]
        for why in dict.fromkeys(self.data[name].why for name in missing):
            names = ", ".join(f"data.{name}" for name in missing if self.data[name].why == why)
            self.unknown.append(f"rows of {names}: {why}")
        if self.recipe.mixture.filters:
            self.assumed.append("filters of the mixture drop nothing")
        if missing:
            return None, max(0, sure - self._held_out(sure))
        if most:
            names = ", ".join(f"data.{name}" for name in most)
            self.assumed.append(f"as many rows as they can have: {names}")
        total = sum(count for count in rows if count is not None)
        return max(0, total - self._held_out(total)), sure

    def _held_out(self, rows: int) -> int:
        if self.known.held_out is not None:
            return self.known.held_out
        wanted = self.recipe.mixture.validation
        if wanted is None:
            return 0
        return wanted.count or ceil((wanted.fraction or 0.0) * rows)

    def _tokens_per_row(self) -> float:
        packs, limit = self.known.packs, self.train.sequence_len
        if packs and packs.get("rows"):
            return float(packs["tokens"] / packs["rows"])
        if self.known.tokens_per_row is not None:
            self.assumed.append(
                f"{self.known.tokens_per_row:.0f} tokens a row, as in an earlier run"
            )
            return min(float(limit), self.known.tokens_per_row)
        self.assumed.append(f"{min(TOKENS_PER_ROW, limit)} tokens a row: none were counted yet")
        return float(min(TOKENS_PER_ROW, limit))

    def _words(self) -> frozenset[str]:
        return frozenset(type(self.train).model_fields)

    def _per_step(self) -> int:
        micro = getattr(self.train, "micro_batch_size", 1)
        return int(micro * getattr(self.train, "gradient_accumulation_steps", 1))

    def _amount(self, rows: int) -> Amount:
        train, packed = self.train, self.known.packs
        if packed:
            tokens, packs = int(packed["tokens"]), int(packed["packs"])
        else:
            tokens = round(rows * self.per_row)
            packs = ceil(tokens / (train.sequence_len * FILL)) if train.sample_packing else rows
        an_epoch = ceil(packs / self._per_step())
        steps = getattr(train, "max_steps", None) or an_epoch * getattr(train, "num_epochs", 1)
        steps = min(steps, getattr(train, "stop_after_steps", None) or steps)
        a_pack = tokens / packs if packs else self._full_pack()
        trained = round(tokens * steps / an_epoch) if an_epoch else 0
        if not packed and getattr(train, "max_steps", None):
            trained = round(steps * self._per_step() * a_pack)
        return Amount(rows, tokens, packs, steps, trained, a_pack, self._held_out(rows))

    def _full_pack(self) -> float:
        train = self.train
        return train.sequence_len * FILL if train.sample_packing else self.per_row

    # ---- memory and time --------------------------------------------------------------------

    def _seen(self) -> float:
        """Return the tokens of what attention goes over at once: a sample, or a wrapped pack."""
        train = self.train
        wrapped = train.sample_packing and train.packing_strategy == "wrapped"
        return float(train.sequence_len) if wrapped else self.per_row

    def _learnt(self) -> float:
        packs = self.known.packs
        return packs["response_tokens"] / packs["tokens"] if packs else 1.0

    def _batch(self) -> Batch:
        tokens = self.train.micro_batch_size * self.train.sequence_len
        return Batch(tokens=tokens, sample=self._seen(), learnt=self._learnt())

    def _memory(self) -> tuple[Memory | None, tuple[Saving, ...]]:
        if self.architecture is None:
            return None, ()
        given = (self.recipe, self.architecture, self._batch(), self.gpu)
        return memory(*given), savings(*given)

    def _stored(self) -> int | None:
        if self.architecture is None:
            return None
        return stored_layers(self.recipe, self.architecture, self._batch(), self.gpu)

    def _again(self) -> float:
        """Return the share of layers that are calculated anew in the backward pass."""
        stored = self._stored()
        if self.architecture is None or stored is None:
            return 0.0
        return 1 - stored / self.architecture.layers

    def _flops(self) -> float | None:
        if self.architecture is None:
            return None
        return flops_per_token(
            self.recipe, self.architecture, self._seen(), self._learnt(), self._again()
        )

    def _seconds(self, amount: Amount | None) -> float | None:
        known = self.known
        if amount is None or not amount.trained:
            return None
        if known.seconds is not None:
            return known.seconds
        if known.tokens_per_second:
            return amount.trained / known.tokens_per_second
        if self.device is None:
            text = "time: no device is named; `--device NAME` names one"
            if text not in self.unknown:
                self.unknown.append(text)
            return None
        if self.architecture is None:
            return None
        work = Work(
            tokens=amount.trained,
            micro_batches=ceil(amount.trained / (amount.a_pack * self.train.micro_batch_size)),
            evaluated=round(self._evaluations(amount) * amount.held_out * self.per_row),
            sample=self._seen(),
            learnt=self._learnt(),
            again=self._again(),
        )
        return seconds(self.recipe, self.architecture, self.device, work)

    def _evaluations(self, amount: Amount) -> int:
        if not amount.held_out:
            return 0
        every = self.train.eval_steps
        return 1 + (ceil(amount.steps / every) if every else int(self.train.num_epochs))

    def _rate_source(self) -> str:
        if self.known.seconds is not None:
            return "measured here, in the run that is in the store"
        if self.known.tokens_per_second:
            return f"measured here{f', {self.known.measured}' if self.known.measured else ''}"
        return f"{self.device.name if self.device else ''}: table, not measured here"

    # ---- disk -------------------------------------------------------------------------------

    def _disk(self, amount: Amount | None, shapes: list[int] | None) -> Disk:
        sizes = self.known.sources
        pinned = [size for size in sizes.values() if size is not None]
        whole = bool(sizes) and len(pinned) == len(sizes)
        if sizes and not whole:
            missing = ", ".join(name for name, size in sizes.items() if size is None)
            self.unknown.append(f"size of sources: {missing} not pinned")
        fetch = sum(size for name, size in sizes.items() if size and name not in self.known.fetched)
        trained = sum(shapes) if shapes is not None else None
        checkpoints = None
        if trained is not None:
            limit = getattr(self.train, "save_total_limit", 1)
            # Each has the adapter, the best one so far and both moments; one more is being written.
            checkpoints = (limit + 1) * 16 * trained
        return Disk(
            sources=sum(pinned) if whole else None,
            fetch=fetch if whole else None,
            rows=self._row_bytes(amount) if amount else None,
            checkpoints=checkpoints,
            states=12 * trained * self._kept_states(amount) if trained is not None else None,
            adapter=8 * trained if trained is not None else None,
        )

    def _kept_states(self, amount: Amount | None) -> int:
        """Return how many states a training keeps: adapter and both moments, at four bytes each."""
        segments = getattr(self.train, "replay_segments", 1)
        return min(segments, amount.steps if amount else segments) - 1

    def _row_bytes(self, amount: Amount) -> int:
        """Return what the rows of every step and the packs take, about."""
        a_row = self.per_row * BYTES_PER_TOKEN
        total = 0.0
        for name, data in self.recipe.data.items():
            steps = 2 + len(data.filters) + (data.score is not None)
            total += steps * (self.data[name].rows or 0) * a_row
        mixed = (2 + len(self.recipe.mixture.filters)) * amount.rows * a_row
        return int(total + mixed + 8 * amount.tokens)


def _bound(amount: Amount | None, seconds: float | None) -> Bound | None:
    if amount is None:
        return None
    return Bound(
        rows=amount.rows,
        tokens=amount.tokens,
        packs=amount.packs,
        steps=amount.steps,
        seconds=seconds,
    )


def _rate(amount: Amount | None, seconds: float | None) -> float | None:
    return amount.trained / seconds if amount and seconds else None
