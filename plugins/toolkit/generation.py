"""Generate greedily, for evaluators and scorers.

Prompts may start with tokens that all of them share; these are computed once. Prompts of one
length are generated without padding and without a mask; others are padded on the left.
Import it inside a method: it brings torch.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch


class Generator:
    """A model that answers prompts greedily.

    Args:
        model: a transformers model, or a peft model around one.
        tokenizer: its tokenizer.
        max_new_tokens: tokens generated for a prompt at most.
        stop: text at which an answer ends; it is cut off.

    Attributes:
        room: the model's context length, for prompt and answer together, if it has one.
    """

    def __init__(
        self, model: Any, tokenizer: Any, *, max_new_tokens: int, stop: str | None
    ) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._limit = max_new_tokens
        self._stop = stop
        self._ends = _ends(model, tokenizer)
        self.room: int | None = getattr(model.config, "max_position_embeddings", None)
        self._shared: tuple[tuple[int, ...], Any] = ((), None)

    def answers(self, prompts: Sequence[Sequence[int]], shared: Sequence[int] = ()) -> list[str]:
        """Return the texts that follow prompts, each after the `shared` tokens.

        The prompts of one call are one calculation: rounding depends on which ones they are.
        """
        with torch.inference_mode():
            return [self._text(ids) for ids in self._generate(prompts, tuple(shared))]

    def _generate(
        self, prompts: Sequence[Sequence[int]], shared: tuple[int, ...]
    ) -> list[list[int]]:
        device = self._model.device
        longest = max(map(len, prompts))
        gaps = torch.tensor([longest - len(prompt) for prompt in prompts], device=device)
        fill = self._tokenizer.eos_token_id or 0  # any token: it is masked
        current = torch.tensor(
            [[fill] * (longest - len(prompt)) + list(prompt) for prompt in prompts], device=device
        )
        cache = self._cache(shared, len(prompts))
        ids: list[list[int]] = [[] for _ in prompts]
        open_rows = set(range(len(prompts)))
        for step in range(self._limit):
            # The tokens that the model has seen and the new ones, without the padding.
            seen = len(shared) + longest + step
            masked = _masked(gaps, len(shared), seen, current.shape[1]) if gaps.any() else {}
            result = self._model(
                input_ids=current, past_key_values=cache, use_cache=True, logits_to_keep=1, **masked
            )
            cache = result.past_key_values
            # Of equal logits the first wins: argmax says so.
            best = result.logits[:, -1].float().argmax(dim=-1)
            for row, token in enumerate(best.tolist()):
                if row in open_rows:
                    ids[row].append(token)
                    if token in self._ends or self._stopped(ids[row]):
                        open_rows.discard(row)
            if not open_rows:
                break
            current = best[:, None]
        return ids

    def _cache(self, shared: tuple[int, ...], count: int) -> Any:
        """Return what the model makes of the shared tokens, once for each prompt."""
        if not shared:
            return None
        if self._shared[0] != shared:
            tokens = torch.tensor([shared], device=self._model.device)
            result = self._model(input_ids=tokens, use_cache=True, logits_to_keep=1)
            self._shared = (shared, result.past_key_values)
        cache = copy.deepcopy(self._shared[1])
        cache.batch_repeat_interleave(count)
        return cache

    def _text(self, ids: list[int]) -> str:
        text: str = self._tokenizer.decode(ids, skip_special_tokens=True)
        return text if self._stop is None else text.split(self._stop, 1)[0]

    def _stopped(self, ids: list[int]) -> bool:
        return self._stop is not None and self._stop in self._tokenizer.decode(ids)


def _masked(gaps: torch.Tensor, shared: int, seen: int, new: int) -> dict[str, torch.Tensor]:
    """Return the mask and the positions of padded prompts.

    Shared tokens come first, then each row's padding, then its own tokens.
    """
    places = torch.arange(seen, device=gaps.device)
    real = (places < shared) | (places >= shared + gaps[:, None])
    positions = (real.long().cumsum(dim=-1) - 1).clamp_min(0)
    return {"attention_mask": real.long(), "position_ids": positions[:, -new:]}


def _ends(model: Any, tokenizer: Any) -> frozenset[int]:
    """Return the tokens that end an answer: the tokenizer's and the model's own."""
    own = model.generation_config.eos_token_id
    listed = own if isinstance(own, list) else [own]
    return frozenset(token for token in [tokenizer.eos_token_id, *listed] if token is not None)
