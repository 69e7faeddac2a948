"""Estimate the rows, tokens, steps, memory, time and disk of a recipe, before anything is spent.

Memory and time are the runtime's own account. Assumptions are named. Formulas and their sources
are in docs/estimates.md.
"""

from __future__ import annotations

from math import ceil
from typing import Any

from ...plugins import Account, AccountError, Launch, Schedule, Work, Workload
from ...plugins.registry import Registry
from ...schema.architecture import Architecture
from ...schema.device import Device
from ...schema.estimate import Disk, Estimate
from ...schema.recipe import Recipe
from ..instances import ask, instance
from .amounts import NOTHING, Amount, Amounts, Known
from .devices import DEVICES
from .model_steps import Model, step_times

__all__ = ["NOTHING", "Known", "estimate"]

BYTES_PER_TOKEN = 4
"""Text of a token, about."""
A_WEEK = 7 * 24 * 3600
UNKNOWN_BASE = "the base's architecture is not known: it is not in the store, nor in the table"


def estimate(
    recipe: Recipe,
    registry: Registry,
    architecture: Architecture | None,
    device: Device | None = None,
    known: Known = NOTHING,
    launch: Launch | None = None,
) -> Estimate:
    """Return the estimated cost of a bound recipe.

    Args:
        recipe: the bound recipe.
        registry: the installed plugins.
        architecture: of its base, or None where it is not known.
        device: the device to train on; without one time is known only where it was measured,
            and memory is a GPU's.
        known: counts and measurements of a store.
        launch: the processes that training is divided over, else one; memory is that of each.
    """
    if recipe.data_only:
        return _of_data(recipe, registry, known)
    return _Estimator(recipe, registry, architecture, device, known, launch or Launch()).estimate()


def _of_data(recipe: Recipe, registry: Registry, known: Known) -> Estimate:
    """Return the estimate of a recipe that ends with its data: rows and disk."""
    amounts = Amounts(recipe, registry, None, known)
    rows = amounts.rows()
    size = None if rows is None else int(row_bytes(recipe, amounts, rows))
    return Estimate(
        rows=rows,
        tokens=None,
        packs=None,
        steps=None,
        gpu_memory_bytes=None,
        seconds=None,
        data=amounts.data,
        other_steps=step_times(
            known.waiting, registry, None, rows=rows, tokens_per_row=amounts.per_row
        ),
        disk=_sources(known, amounts.unknown).model_copy(update={"rows": size}),
        assumed=tuple(amounts.assumed),
        unknown=tuple(amounts.unknown),
    )


def _sources(known: Known, unknown: list[str]) -> Disk:
    """Return the bytes of sources, and of those to fetch; `unknown` is added to."""
    sizes = known.sources
    pinned = [size for size in sizes.values() if size is not None]
    whole = bool(sizes) and len(pinned) == len(sizes)
    if sizes and not whole:
        missing = ", ".join(name for name, size in sizes.items() if size is None)
        unknown.append(f"size of sources: {missing} not pinned")
    fetch = sum(size for name, size in sizes.items() if size and name not in known.fetched)
    return Disk(
        sources=sum(pinned) if whole else None,
        fetch=fetch if whole else None,
        rows=None,
        checkpoints=None,
        adapter=None,
    )


def row_bytes(recipe: Recipe, amounts: Amounts, rows: int) -> float:
    """Return the bytes of the rows of every step, about."""
    a_row = amounts.per_row * BYTES_PER_TOKEN
    total = 0.0
    for name, data in recipe.data.items():
        steps = 2 + len(data.filters) + (data.score is not None)
        total += steps * (amounts.data[name].rows or 0) * a_row
    return total + (2 + len(recipe.mixture.filters)) * rows * a_row


class _Estimator:
    def __init__(
        self,
        recipe: Recipe,
        registry: Registry,
        architecture: Architecture | None,
        device: Device | None,
        known: Known,
        launch: Launch,
    ) -> None:
        self.recipe, self.registry, self.device, self.known = recipe, registry, device, known
        self.launch = launch
        self.model, self.train = recipe.training()
        self.architecture = architecture
        self.gpu = device is None or device.gpu
        schedule: Schedule | None = self._ask(lambda runtime: runtime.schedule())
        self.schedule = schedule
        self.amounts = Amounts(recipe, registry, schedule, known)
        self.unknown = self.amounts.unknown

    def _ask(self, question: Any) -> Any:
        return ask(self.registry, "runtime", self.train, question)

    def estimate(self) -> Estimate:
        amounts = self.amounts.find()
        amount, least, most = amounts.likely, amounts.least, amounts.most
        workload = self._workload(amount or least)
        account = self._account(workload)
        took = self._seconds(amount, workload, account)
        shortest, longest = (self._seconds(bound, workload, account) for bound in (least, most))
        schedule, architecture = self.schedule, self.architecture
        steps = schedule.total_steps if schedule and amount is None else None
        trained = self._trained()
        self.amounts.assumed += launch_assumptions(self.launch, schedule, self.device)
        return Estimate(
            rows=amount.rows if amount else None,
            tokens=amount.tokens if amount else None,
            packs=amount.packs if amount else None,
            steps=amount.steps if amount else steps,
            gpu_memory_bytes=account.memory.total if account and self.gpu else None,
            seconds=took,
            at_least=least.bound(shortest) if least else None,
            at_most=most.bound(longest) if most else None,
            elsewhere=self._elsewhere(amount, workload, account) if took is None else {},
            device=self.device.name if self.device else None,
            device_memory_bytes=self.device.memory_bytes if self.device else None,
            memory=account.memory if account else None,
            layers=architecture.layers if architecture else None,
            stored_layers=account.stored_layers if account else None,
            trained=trained,
            parameters=architecture.parameters if architecture else None,
            flops_per_token=account.flops_per_token if account else None,
            tokens_per_second=_rate(amount or least, took or shortest),
            rate=self._rate_source() if took or shortest else None,
            counted=self.known.packs is not None,
            data=self.amounts.data,
            other_steps=step_times(
                self.known.waiting,
                self.registry,
                self._base_model(),
                rows=amount.rows if amount else None,
                tokens_per_row=self.amounts.per_row,
            ),
            disk=self._disk(amount, account, trained),
            savings=account.savings if account else (),
            assumed=tuple(self.amounts.assumed),
            unknown=tuple(self.unknown),
        )

    # ---- memory and time --------------------------------------------------------------------

    def _workload(self, amount: Amount | None) -> Workload | None:
        if self.architecture is None:
            return None
        model, train = self.model, self.train
        return Workload(
            architecture=self.architecture,
            quantizer=instance(self.registry, "quantizer", model.quantization),
            adapter=instance(self.registry, "adapter", model.adapter),
            gpu=self.gpu,
            sequence_len=train.sequence_len,
            sample_packing=train.sample_packing,
            packing_strategy=train.packing_strategy,
            sample=self.amounts.per_row,
            trained_share=self.amounts.trained_share,
            steps=amount.steps if amount else None,
            launch=self.launch,
        )

    def _account(self, workload: Workload | None) -> Account | None:
        """Return the runtime's account; without one, the reason why memory and time are unknown."""
        if workload is None:
            self.unknown.append(f"memory and time: {UNKNOWN_BASE}")
            return None

        def asked(runtime: Any) -> Account | str:
            try:
                account: Account = runtime.account(workload)
                return account
            except AccountError as error:
                return str(error)

        found: Account | str = self._ask(asked)
        if isinstance(found, Account):
            return found
        self.unknown.append(f"memory and time: {found}")
        return None

    def _base_model(self) -> Model | None:
        """Return the model that scorers and evaluators run, where its device is known."""
        if self.architecture is None or self.device is None:
            return None
        quantizer = instance(self.registry, "quantizer", self.model.quantization)
        return Model(self.architecture, quantizer, self.device)

    def _trained(self) -> int | None:
        """Return the number of trained parameters, where the adapter reports it."""
        if self.architecture is None:
            return None
        adapter = self.model.adapter
        shapes = ask(
            self.registry, "adapter", adapter, lambda a: a.trained_shapes(self.architecture)
        )
        return None if shapes is None else sum(shapes)

    def _seconds(
        self, amount: Amount | None, workload: Workload | None, account: Account | None
    ) -> float | None:
        known, schedule = self.known, self.schedule
        if amount is None or amount.trained == 0:
            return None
        if known.seconds is not None:
            return known.seconds
        if amount.trained is None or amount.steps is None or schedule is None:
            return None
        if known.tokens_per_second:
            return amount.trained / known.tokens_per_second * self._share(self.device)
        if self.device is None or account is None:
            return None
        return self._seconds_on(self.device, amount, workload)

    def _seconds_on(
        self, device: Device, amount: Amount, workload: Workload | None
    ) -> float | None:
        """Return the runtime's own estimate of the time on a device of the table."""
        schedule = self.schedule
        if schedule is None or amount.trained is None or amount.steps is None:
            return None
        evaluations = schedule.evaluations(amount.steps) if amount.held_out else 0
        work = Work(
            tokens=amount.trained,
            micro_batches=ceil(amount.trained / (amount.a_pack * schedule.micro_batch)),
            evaluated=round(evaluations * amount.held_out * self.amounts.per_row),
        )
        found: float | None = self._ask(lambda r: r.seconds(workload, device, work))
        return found and found * self._share(device)

    def _share(self, device: Device | None) -> float:
        """Return the part of the time that remains where processes divide the work."""
        divided = self.schedule is not None and (device is None or device.gpu)
        return self.schedule.share(self.launch.size) if divided and self.schedule else 1.0

    def _elsewhere(
        self, amount: Amount | None, workload: Workload | None, account: Account | None
    ) -> dict[str, float]:
        """Return the time on each device with room for it, where none is named."""
        if self.device is not None or amount is None or account is None:
            return {}
        needed = account.memory.total - account.memory.paged
        times = {
            device.name: self._seconds_on(device, amount, workload)
            for device in DEVICES.values()
            if device.memory_bytes is None or device.memory_bytes >= needed
        }
        return {name: seconds for name, seconds in times.items() if seconds and seconds < A_WEEK}

    def _rate_source(self) -> str:
        if self.known.seconds is not None:
            return "measured here, in the run that is in the store"
        if self.known.tokens_per_second:
            return f"measured here{f', {self.known.measured}' if self.known.measured else ''}"
        return f"{self.device.name if self.device else ''}: table, not measured here"

    # ---- disk -------------------------------------------------------------------------------

    def _disk(self, amount: Amount | None, account: Account | None, trained: int | None) -> Disk:
        rows = None
        if amount is not None:
            rows = int(row_bytes(self.recipe, self.amounts, amount.rows) + 8 * amount.tokens)
        more = {
            "rows": rows,
            "checkpoints": account.checkpoint_bytes if account else None,
            "states": account.state_bytes if account else None,
            "adapter": 8 * trained if trained is not None else None,
        }
        return _sources(self.known, self.unknown).model_copy(update=more)


def _rate(amount: Amount | None, seconds: float | None) -> float | None:
    return amount.trained / seconds if amount and amount.trained and seconds else None


def launch_assumptions(
    launch: Launch, schedule: Schedule | None, device: Device | None
) -> list[str]:
    """Return what numbers for several processes rest on, in sentences."""
    if launch.size == 1 or schedule is None:
        return []
    memory = f"memory: of each of {launch.size} processes ({launch.strategy})"
    if device is not None and not device.gpu:
        return [memory, "time: as of one process, because processes share the CPU's cores"]
    share = schedule.share(launch.size)
    return [memory, f"time: {share:.2g} of one process's; what they send one another not counted"]
