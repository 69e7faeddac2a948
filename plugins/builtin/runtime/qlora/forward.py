"""Run a base over a micro batch, packed or one row for each sample, to what the loss reads.

What comes out has a row for each token of the batch, in its order, whichever way it was computed.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch

from .attention import packed_attention as attention

if TYPE_CHECKING:
    from .batches import MicroBatch

Layout = Literal["packed", "unpacked"]


class Forward:
    """Computes the last hidden states of a batch; or its logits, where the head is not known.

    Attributes:
        layout: how samples lie before the model.
        whole: whether the model is run with its head.
        rows: the length of each sample, row by row, in the order that the model has them now.
        keeps_router_logits: whether a model in training keeps the logits of its routers.
        router_logits: those of the last batch, a tensor (T, experts) for each layer that has one.
    """

    def __init__(self, causal: Any, layout: Layout) -> None:
        self._causal = causal
        self.layout = layout
        self.whole = False
        self.rows: tuple[tuple[int, ...], ...] = ()
        self.keeps_router_logits = False
        self.router_logits: tuple[torch.Tensor, ...] | None = None

    def __call__(self, batch: MicroBatch) -> torch.Tensor:
        """Return hidden states (T, d) or logits (T, vocabulary)."""
        if self.layout == "packed":
            self.rows = (batch.lengths,)
            return self._run(
                batch.input_ids,
                position_ids=batch.position_ids,
                **attention.segments(batch.cu_seq_lens, batch.lengths),
            )[0]
        samples = batch.input_ids[0].split(batch.lengths)
        found: dict[int, torch.Tensor] = {}
        for group in row_groups(batch.lengths, padded=self._takes_mask):
            self.rows = tuple((batch.lengths[index],) for index in group)
            result = self._padded([samples[index] for index in group])
            for row, index in zip(result, group, strict=True):
                found[index] = row[: batch.lengths[index]]
        return torch.cat([found[index] for index in range(len(samples))])

    def _padded(self, samples: Sequence[torch.Tensor]) -> torch.Tensor:
        """Run samples as rows; what pads the shorter ones lies behind them and is masked."""
        longest = max(map(len, samples))
        if all(len(sample) == longest for sample in samples):
            return self._run(torch.stack(list(samples)))
        ids = torch.nn.utils.rnn.pad_sequence(list(samples), batch_first=True)
        lengths = torch.tensor([len(sample) for sample in samples], device=ids.device)
        mask = torch.arange(longest, device=ids.device) < lengths[:, None]
        return self._run(ids, attention_mask=mask.long())

    def _run(self, ids: torch.Tensor, **given: Any) -> torch.Tensor:
        model = self._causal if self.whole else self._causal.base_model
        if self.keeps_router_logits and self._causal.training:
            given["output_router_logits"] = True
        result = model(input_ids=ids, use_cache=False, **given)
        if "output_router_logits" in given:
            self.router_logits = result.router_logits
        found: torch.Tensor = result.logits if self.whole else result.last_hidden_state
        return found

    @property
    def _takes_mask(self) -> bool:
        return "attention_mask" in inspect.signature(self._causal.forward).parameters


def row_groups(lengths: Sequence[int], *, padded: bool = True) -> list[list[int]]:
    """Return which samples are run together, the longest first.

    A group takes no more room, padding included, than all samples take without; where nothing can
    be padded, its samples are of one length.
    """
    room = sum(lengths)
    groups: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        group = groups[-1] if groups else []
        longest = lengths[group[0]] if group else 0
        fits = (len(group) + 1) * longest <= room if padded else lengths[index] == longest
        if group and fits:
            group.append(index)
        else:
            groups.append([index])
    return groups
