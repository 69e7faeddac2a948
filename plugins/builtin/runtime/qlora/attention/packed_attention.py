"""Choose the attention kernel (flash, sdpa, eager) within each sample of a pack.

Registered with transformers by name; the model passes the samples' bounds through as keyword
arguments. No mask is made: a mask over a whole pack costs its square, and is mostly zeros.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention

from khichdi.schema.errors import StepError

from .block_attention import attend

Kernel = Callable[..., torch.Tensor]


def choose(implementation: str, device: torch.device, dtype: torch.dtype) -> str:
    """Return the name to load a model with; registers it.

    `auto` and `flash` give the best kernel for samples of many lengths: flash-attn's or torch's
    on a GPU in a 16-bit type, else blocks of queries.
    """
    from transformers import AttentionInterface, AttentionMaskInterface

    name = {"sdpa": "sdpa", "eager": "eager"}.get(implementation, "blocks")
    if name == "blocks" and device.type == "cuda" and dtype != torch.float32:
        name = "package" if _package() else "varlen" if _varlen() else "sdpa"
    full = f"khichdi-{name}"
    AttentionInterface.register(full, _interface(name))
    AttentionMaskInterface.register(full, lambda *_, **__: None)
    return full


def segments(cu_seq_lens: torch.Tensor, lengths: tuple[int, ...]) -> dict[str, Any]:
    """Return the keyword arguments that carry the samples' bounds through a model."""
    longest = max(lengths)
    return {
        "cu_seq_lens_q": cu_seq_lens,
        "cu_seq_lens_k": cu_seq_lens,
        "max_length_q": longest,
        "max_length_k": longest,
        "sample_lengths": lengths,
    }


def _interface(name: str) -> Kernel:
    """Return the function that transformers calls in each layer."""
    by_sample: dict[str, Kernel] = {"sdpa": _fused, "eager": _written_out}
    at_once: dict[str, Kernel] = {
        "blocks": _block_kernel,
        "package": _package_kernel,
        "varlen": _varlen_kernel,
    }

    def attention(
        module: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: Any,
        scaling: float | None = None,
        dropout: float = 0.0,
        sliding_window: int | None = None,
        softcap: float | None = None,
        s_aux: torch.Tensor | None = None,
        **given: Any,
    ) -> tuple[torch.Tensor, None]:
        _refuse(module, attention_mask, dropout, given)
        scale = query.shape[-1] ** -0.5 if scaling is None else scaling
        q, k, v = (t.squeeze(0) for t in (query, key, value))  # (heads, T, head size)
        if name in at_once and softcap is None and s_aux is None:
            out = at_once[name](q, k, v, scale, sliding_window, given)
        else:
            kernel: Kernel = by_sample.get(name, _fused)
            if softcap or s_aux is not None:
                kernel = partial(_written_out, sinks=s_aux)
            lengths = given["sample_lengths"]
            parts = zip(*(t.split(lengths, dim=1) for t in (q, k, v)), strict=True)
            done = [kernel(*part, scale, sliding_window, softcap) for part in parts]
            out = torch.cat(done, dim=1).transpose(0, 1)
        return out.unsqueeze(0), None  # (1, T, heads, head size)

    return attention


def _refuse(module: Any, mask: Any, dropout: float, given: dict[str, Any]) -> None:
    """Raise `StepError` for what would be left out silently."""
    kind = type(module).__name__
    if "sample_lengths" not in given:
        raise StepError(
            f"{kind} does not pass on where samples begin: they would see one another",
            hint="this architecture cannot be trained on packs yet",
        )
    unknown = "position_bias" if given.get("position_bias") is not None else None
    if unknown or mask is not None or not getattr(module, "is_causal", True):
        raise StepError(
            f"{kind} needs attention that is not offered ({unknown or 'a mask of its own'})",
            hint="this architecture cannot be trained on packs yet",
        )
    if dropout:
        raise StepError(
            f"{kind} has dropout inside attention ({dropout}), which is not offered",
            hint="set attention_dropout to 0 in the base's config.json",
        )


# ---- kernels for one sample: (heads, n, d), (kv heads, n, d) -> (heads, n, d) ---------------


def _visible(n: int, window: int | None, device: torch.device) -> torch.Tensor:
    """Return which keys each query sees, shape (n, n)."""
    mask = torch.ones(n, n, dtype=torch.bool, device=device).tril()
    return mask if window is None or window >= n else mask.triu(1 - window)


def _written_out(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    scale: float,
    window: Any,
    softcap: Any,
    sinks: torch.Tensor | None = None,
) -> torch.Tensor:
    """Scores and softmax in float32; queries of one key head are one matrix.

    A sink is a score that each query of a head has beside those of its keys, and no value.
    """
    heads, n, size = q.shape
    groups = heads // k.shape[0]
    folded = q.reshape(k.shape[0], groups * n, size)
    scores = torch.bmm(folded.float(), k.float().transpose(1, 2)) * scale
    if softcap:
        scores = torch.tanh(scores / softcap) * softcap
    hidden = ~_visible(n, window, q.device)
    scores = scores.view(-1, groups, n, n).masked_fill(hidden, float("-inf"))
    if sinks is not None:
        beside = sinks.float().view(-1, groups, 1, 1).expand(-1, -1, n, 1)
        scores = torch.cat([scores, beside], dim=-1)
    weights: torch.Tensor = _Softmax.apply(scores)
    weights = weights[..., :n].to(v.dtype).reshape(-1, groups * n, n)
    return torch.bmm(weights, v).view(heads, n, v.shape[-1])


class _Softmax(torch.autograd.Function):  # type: ignore[misc]
    """Softmax over the last dimension; torch's own backward rounds by the number of threads."""

    @staticmethod
    def forward(ctx: Any, scores: torch.Tensor) -> torch.Tensor:
        weights = scores.softmax(dim=-1)
        ctx.save_for_backward(weights)
        return weights

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> torch.Tensor:
        (weights,) = ctx.saved_tensors
        scaled = grads[0] * weights
        return scaled.addcmul_(weights, scaled.sum(dim=-1, keepdim=True), value=-1)


def _fused(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float, window: Any, softcap: Any
) -> torch.Tensor:
    """Torch's scaled dot-product attention."""
    n, groups = q.shape[1], q.shape[0] // k.shape[0]
    if groups > 1:
        k, v = (t.repeat_interleave(groups, dim=0) for t in (k, v))
    banded = window is not None and window < n
    mask = _visible(n, window, q.device) if banded else None
    return scaled_dot_product_attention(
        q[None], k[None], v[None], attn_mask=mask, is_causal=not banded, scale=scale
    )[0]


# ---- kernels for all samples at once: (heads, T, d) -> (T, heads, d) -------------------------


def _package() -> bool:
    try:
        import flash_attn  # noqa: F401
    except ImportError:
        return False
    return True


def _varlen() -> bool:
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return False
    return "window_size" in inspect.signature(varlen_attn).parameters


def _by_token(*tensors: torch.Tensor) -> list[torch.Tensor]:
    return [tensor.transpose(0, 1).contiguous() for tensor in tensors]


def _block_kernel(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float, window: Any, given: Any
) -> torch.Tensor:
    """Ours, without a square of memory and the fastest on CPUs."""
    return attend(q, k, v, given["sample_lengths"], scale, window)


def _package_kernel(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float, window: Any, given: Any
) -> torch.Tensor:
    """The flash-attn package; its backward is deterministic where torch's algorithms are."""
    from flash_attn import flash_attn_varlen_func

    out: torch.Tensor = flash_attn_varlen_func(
        *_by_token(q, k, v),
        cu_seqlens_q=given["cu_seq_lens_q"],
        cu_seqlens_k=given["cu_seq_lens_k"],
        max_seqlen_q=given["max_length_q"],
        max_seqlen_k=given["max_length_k"],
        softmax_scale=scale,
        causal=True,
        window_size=(-1, -1) if window is None else (window - 1, 0),
        deterministic=torch.are_deterministic_algorithms_enabled(),
    )
    return out


def _varlen_kernel(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float, window: Any, given: Any
) -> torch.Tensor:
    """Torch's own; deterministic while torch's deterministic algorithms are on."""
    from torch.nn.attention.varlen import varlen_attn

    known = inspect.signature(varlen_attn).parameters
    options: dict[str, Any] = {"window_size": (-1 if window is None else window - 1, 0)}
    if "scale" in known:
        options["scale"] = scale
    else:
        q = q * (scale * q.shape[-1] ** 0.5)
    groups = q.shape[0] // k.shape[0]
    if "enable_gqa" in known:
        options["enable_gqa"] = groups > 1
    elif groups > 1:
        k, v = (t.repeat_interleave(groups, dim=0) for t in (k, v))
    bounds, longest = given["cu_seq_lens_q"], given["max_length_q"]
    out: torch.Tensor = varlen_attn(
        *_by_token(q, k, v), bounds, bounds, longest, longest, **options
    )
    return out
