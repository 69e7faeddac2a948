"""Causal attention over the samples of a pack, in blocks of queries.

On a CPU this is faster than torch's fused kernel, above all backward, and keys that a block's
queries cannot see are left out. Scores, softmax and its backward are float32; the products with
values and those of the backward pass are in the model's type.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import torch

QUERIES = 128
"""Queries of a block. Part of the bits."""

KEPT = 512
"""Longest sample whose attention weights are kept for the backward pass; those of longer ones,
which would take the square of their length, are calculated once more. Not part of the bits."""


class _Block(NamedTuple):
    """Queries `first` to `last` of a pack, keys `seen` to `last`, and the mask added to scores."""

    first: int
    last: int
    seen: int
    hidden: torch.Tensor
    kept: bool


def attend(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    lengths: tuple[int, ...],
    scale: float,
    window: int | None = None,
) -> torch.Tensor:
    """Return the attention of each query to its own sample's keys up to it.

    Args:
        q: (heads, T, size).
        k: (key heads, T, size).
        v: (key heads, T, value size).
        lengths: of the samples, T in all.
        scale: of the scores.
        window: how many keys a query sees at most, its own included.

    Returns:
        Shape (T, heads, value size).
    """
    done: torch.Tensor = _Attention.apply(q, k, v, lengths, scale, window)
    return done


class _Attention(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(
        ctx: Any,
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        lengths: tuple[int, ...],
        scale: float,
        window: int | None,
    ) -> torch.Tensor:
        heads, groups = k.shape[0], q.shape[0] // k.shape[0]
        q, k, v = _folded(q, heads), k.contiguous(), v.contiguous()
        wide_q, wide_k = q.float(), k.float() * scale
        out = q.new_empty(heads, q.shape[1], v.shape[-1])
        blocks = list(_blocks(lengths, groups, window, q.device))
        wanted = any(ctx.needs_input_grad[:3])
        kept = []
        for block in blocks:
            rows = slice(block.first * groups, block.last * groups)
            weights = _weights(wide_q, wide_k, block, rows).to(q.dtype)
            out[:, rows] = torch.bmm(weights, v[:, block.seen : block.last])
            if wanted and block.kept:
                kept.append(weights)
        if wanted:
            ctx.save_for_backward(q, k, v, out, *kept)
            ctx.blocks, ctx.scale, ctx.groups = blocks, scale, groups
        return _by_token(out, groups)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        q, k, v, out, *kept = ctx.saved_tensors
        groups = ctx.groups
        grad = _folded(grads[0].transpose(0, 1), k.shape[0])
        inner = (grad.float() * out).sum(dim=-1, keepdim=True)
        grad_q = torch.empty_like(q)
        grad_k, grad_v = torch.zeros_like(k, dtype=torch.float32), torch.zeros_like(v).float()
        wide_q, wide_k = _wide(q, k, ctx)
        again = iter(kept)
        for block in ctx.blocks:
            rows = slice(block.first * groups, block.last * groups)
            keys = slice(block.seen, block.last)
            if block.kept:
                weights = next(again)
            else:
                weights = _weights(wide_q, wide_k, block, rows).to(q.dtype)
            some = grad[:, rows]
            grad_v[:, keys] += torch.bmm(weights.transpose(1, 2), some)
            scores = torch.bmm(some, v[:, keys].transpose(1, 2)).float()
            scores = scores.sub_(inner[:, rows]).mul_(weights).to(q.dtype)
            grad_q[:, rows] = torch.bmm(scores, k[:, keys])
            grad_k[:, keys] += torch.bmm(scores.transpose(1, 2), q[:, rows])
        grad_q = _by_token(grad_q.mul_(ctx.scale), groups).transpose(0, 1)
        grad_k = grad_k.mul_(ctx.scale).to(k.dtype)
        return grad_q, grad_k, grad_v.to(v.dtype), None, None, None


def _wide(q: torch.Tensor, k: torch.Tensor, ctx: Any) -> tuple[Any, Any]:
    """Return queries and scaled keys in float32, where weights are calculated once more."""
    if all(block.kept for block in ctx.blocks):
        return None, None
    return q.float(), k.float() * ctx.scale


def _weights(q: torch.Tensor, k: torch.Tensor, block: _Block, rows: slice) -> torch.Tensor:
    keys = k[:, block.seen : block.last].transpose(1, 2)
    return torch.baddbmm(block.hidden, q[:, rows], keys).softmax(dim=-1)


# ---- layouts --------------------------------------------------------------------------------


def _folded(x: torch.Tensor, heads: int) -> torch.Tensor:
    """Return (heads x groups, T, d) as (heads, T x groups, d): a token's queries follow on."""
    groups, tokens, size = x.shape[0] // heads, x.shape[1], x.shape[2]
    by_token = x.view(heads, groups, tokens, size).transpose(1, 2)
    return by_token.contiguous().view(heads, tokens * groups, size)


def _by_token(x: torch.Tensor, groups: int) -> torch.Tensor:
    """Return (heads, T x groups, d) as (T, heads x groups, d)."""
    heads, rows, size = x.shape
    apart = x.view(heads, rows // groups, groups, size).transpose(0, 1)
    return apart.reshape(rows // groups, heads * groups, size)


# ---- blocks ---------------------------------------------------------------------------------


def _blocks(
    lengths: tuple[int, ...], groups: int, window: int | None, device: torch.device
) -> Iterator[_Block]:
    """Yield the blocks of each sample in order."""
    longest = max(lengths)
    window = None if window is not None and window >= longest else window
    reach = -(-longest // 1024) * 1024 if window is None else window
    master = _hidden(reach, groups, window, device)
    start = 0
    for length in lengths:
        for first in range(0, length, QUERIES):
            last = min(first + QUERIES, length)
            seen = 0 if window is None else max(0, first - window + 1)
            hidden = master[: (last - first) * groups, reach - first + seen : reach - first + last]
            place = (start + first, start + last, start + seen)
            yield _Block(*place, hidden, length <= KEPT)
        start += length


@lru_cache(maxsize=4)
def _hidden(reach: int, groups: int, window: int | None, device: torch.device) -> torch.Tensor:
    """Return the mask added to a block's scores: minus infinity where a key is not seen.

    Column `reach` is the key of the block's first query; a block takes the part that it needs.
    """
    query = torch.arange(QUERIES, device=device)[:, None]
    key = torch.arange(-reach, QUERIES, device=device)[None]
    unseen = key > query
    if window is not None:
        unseen |= key <= query - window
    added = torch.zeros(unseen.shape, device=device).masked_fill_(unseen, float("-inf"))
    return added.repeat_interleave(groups, dim=0)
