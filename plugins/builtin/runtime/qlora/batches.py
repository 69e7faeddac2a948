"""Assign packs to optimizer steps, and make the tensors of a micro batch."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from khichdi.plugins.toolkit.model_loading import IGNORE
from khichdi.schema.digest import derive_seed, digest, draws
from khichdi.schema.errors import StepError

if TYPE_CHECKING:
    import pyarrow as pa

    from .params import QloraParams

IDS_SHOWN = 20
"""Rows that an error names at most."""

WINDOW = 50
"""Optimizer steps whose packs are sorted by length together."""

COLUMNS = ("input_ids", "labels", "lengths")


@dataclass(frozen=True)
class StepPlan:
    """One optimizer step: its number from 1, its epoch from 0, the packs of its micro batches."""

    step: int
    epoch: int
    micro: tuple[tuple[int, ...], ...]
    last_of_epoch: bool


def plan_steps(
    packs: int, params: QloraParams, seed: int, sizes: Sequence[int] = ()
) -> list[StepPlan]:
    """Return every optimizer step. An epoch's order is a function of seed and epoch alone.

    What does not fill the last step of an epoch makes a smaller one. With `group_by_length` it is
    a function of the packs' sizes too.
    """
    size = params.micro_batch_size
    per_step = size * params.gradient_accumulation_steps
    per_epoch = -(-packs // per_step)
    total = params.max_steps or per_epoch * params.num_epochs
    plans: list[StepPlan] = []
    for epoch in range(-(-total // per_epoch)):
        drawn = draws(derive_seed(seed, f"epoch/{epoch}"), (str(i) for i in range(packs)))
        order = sorted(range(packs), key=lambda i: (drawn[i], i))
        if params.group_by_length:
            order = by_length(order, sizes, per_step)
        for first in range(0, packs, per_step):
            chosen = order[first : first + per_step]
            micro = tuple(tuple(chosen[i : i + size]) for i in range(0, len(chosen), size))
            last = first + per_step >= packs
            plans.append(StepPlan(len(plans) + 1, epoch, micro, last))
    return plans[:total]


def by_length(order: list[int], sizes: Sequence[int], per_step: int) -> list[int]:
    """Return a random order with packs of like size beside one another.

    The order is cut into windows of 50 steps, fewer where there are few packs, and each window is
    sorted, the longest first. The first step has the longest pack of all: where memory does not
    suffice, it shows at once.
    """
    steps = max(1, min(WINDOW, len(order) // (4 * per_step)))
    window = steps * per_step
    windows = [order[first : first + window] for first in range(0, len(order), window)]
    grouped = [i for part in windows for i in sorted(part, key=lambda i: -sizes[i])]
    longest = max(range(len(grouped)), key=lambda place: (sizes[grouped[place]], -place))
    grouped[0], grouped[longest] = grouped[longest], grouped[0]
    return grouped


@dataclass(frozen=True)
class MicroBatch:
    """Packs side by side in one row of T tokens; S samples, R response tokens.

    Attributes:
        input_ids: (1, T).
        position_ids: (1, T), from 0 in each sample.
        cu_seq_lens: (S + 1,) int32, where samples begin and end.
        lengths: of the samples.
        sources: (R,) positions whose next token is trained on; never the last of a sample.
        targets: (R,) those next tokens.
        digest: of the tokens, labels and lengths.
    """

    input_ids: torch.Tensor
    position_ids: torch.Tensor
    cu_seq_lens: torch.Tensor
    lengths: tuple[int, ...]
    sources: torch.Tensor
    targets: torch.Tensor
    digest: str

    @property
    def tokens(self) -> int:
        """Return how many tokens there are."""
        return int(self.input_ids.shape[1])

    @property
    def response_tokens(self) -> int:
        """Return how many tokens the loss counts."""
        return len(self.targets)

    def to(self, device: torch.device) -> MicroBatch:
        """Return the batch with its tensors on a device."""
        tensors = {
            name: getattr(self, name).to(device, non_blocking=True)
            for name in ("input_ids", "position_ids", "cu_seq_lens", "sources", "targets")
        }
        return MicroBatch(lengths=self.lengths, digest=self.digest, **tensors)


class Packs:
    """The packs of a table, read one by one."""

    def __init__(self, table: pa.Table, name: str) -> None:
        self.name = name
        self._columns = [table.column(column).combine_chunks() for column in COLUMNS]
        self._ids = table.column("ids") if "ids" in table.column_names else None
        self._count = table.num_rows

    def __len__(self) -> int:
        return int(self._count)

    def pack(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return input_ids, labels and lengths as int32.

        Raises:
            StepError: the pack contradicts itself.
        """
        ids, labels, lengths = (
            np.asarray(column[index].values, dtype=np.int32) for column in self._columns
        )
        if len(ids) != len(labels) or lengths.sum() != len(ids) or (lengths <= 0).any():
            raise StepError(
                f"{self.name} pack {index}: {len(ids)} tokens, {len(labels)} labels and samples "
                f"of {int(lengths.sum())} tokens in all do not fit together",
                hint="labels are as long as input_ids, and lengths are positive and sum up to it",
            )
        return ids, labels, lengths

    def sizes(self) -> list[int]:
        """Return the number of tokens of each pack."""
        import pyarrow.compute as pc

        sizes: list[int] = pc.list_value_length(self._columns[0]).to_pylist()
        return sizes

    def named(self, indices: Sequence[int]) -> str:
        """Return packs by number, with the ids of their rows where these are known."""
        numbers = ", ".join(map(str, indices))
        words = f"{self.name} pack{'s' if len(indices) > 1 else ''} {numbers}"
        if self._ids is None:
            return words
        ids = list(dict.fromkeys(row for index in indices for row in self._ids[index].as_py()))
        more = f" and {len(ids) - IDS_SHOWN} more" if len(ids) > IDS_SHOWN else ""
        return f"{words}: rows {', '.join(ids[:IDS_SHOWN])}{more}"

    def batch(self, indices: Sequence[int]) -> MicroBatch:
        """Return some packs as one micro batch."""
        ids, labels, lengths = (
            np.concatenate(parts) for parts in zip(*map(self.pack, indices), strict=True)
        )
        return _flatten(ids, labels, lengths)


def micro_batch(samples: Sequence[Sequence[int]], labels: Sequence[Sequence[int]]) -> MicroBatch:
    """Return samples, given as lists, as one micro batch."""
    ids = np.concatenate([np.asarray(sample, dtype=np.int32) for sample in samples])
    flat = np.concatenate([np.asarray(some, dtype=np.int32) for some in labels])
    return _flatten(ids, flat, np.asarray([len(sample) for sample in samples], dtype=np.int32))


def _flatten(ids: np.ndarray, labels: np.ndarray, lengths: np.ndarray) -> MicroBatch:
    ends = np.cumsum(lengths)
    positions = np.arange(len(ids)) - np.repeat(ends - lengths, lengths)
    # A sample's first token is nobody's target: before it lies another sample.
    learnt = np.flatnonzero((labels != IGNORE) & (positions > 0))
    return MicroBatch(
        input_ids=torch.from_numpy(ids.astype(np.int64))[None],
        position_ids=torch.from_numpy(positions)[None],
        cu_seq_lens=torch.from_numpy(np.concatenate([[0], ends]).astype(np.int32)),
        lengths=tuple(lengths.tolist()),
        sources=torch.from_numpy(learnt - 1),
        targets=torch.from_numpy(labels[learnt].astype(np.int64)),
        digest=digest("batch", [_sha256(ids), _sha256(labels), _sha256(lengths)]),
    )


def _sha256(array: np.ndarray) -> str:
    return hashlib.sha256(array.astype("<i4").tobytes()).hexdigest()


def prepared(
    packs: Packs, groups: Sequence[tuple[tuple[int, ...], ...]], workers: int
) -> Generator[list[MicroBatch]]:
    """Yield the micro batches of each group in order, prepared ahead by threads."""

    def build(group: tuple[tuple[int, ...], ...]) -> list[MicroBatch]:
        return [packs.batch(indices) for indices in group]

    if workers == 0:
        yield from map(build, groups)
        return
    with ThreadPoolExecutor(workers, thread_name_prefix="batches") as pool:
        waiting: list[Future[Any]] = []
        rest = iter(groups)
        try:
            waiting.extend(pool.submit(build, group) for group in islice(rest, 2 * workers))
            while waiting:
                yield waiting.pop(0).result()
                waiting.extend(pool.submit(build, group) for group in islice(rest, 1))
        finally:
            for future in waiting:
                future.cancel()
