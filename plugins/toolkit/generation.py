"""Generate answers: greedily for evaluators and scorers, also sampled and streamed for use.

Prompts may start with tokens that all of them share; these are computed once. Prompts of one
length are generated without padding and without a mask; others are padded on the left.
Import it inside a method: it brings torch.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import count, islice
from typing import Any

import torch

from ...schema.errors import StepError
from .answer_text import AnswerText, Piece, Sampling, ScoredToken

Choose = Callable[[torch.Tensor], torch.Tensor]
"""From the logits of each row, float32 of shape (rows, vocabulary), to a token for each."""


class Generator:
    """A model that answers prompts.

    Args:
        model: a transformers model, or a peft model around one.
        tokenizer: its tokenizer.
        max_new_tokens: tokens of a greedy answer at most.
        stop: text at which a greedy answer ends; it is cut off.

    Attributes:
        room: the model's context length, for prompt and answer together, if it has one.
    """

    def __init__(
        self, model: Any, tokenizer: Any, *, max_new_tokens: int, stop: str | None = None
    ) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._limit = max_new_tokens
        self._stop = stop
        self._ends = _ends(model, tokenizer)
        self.room: int | None = getattr(model.config, "max_position_embeddings", None)
        self._shared: tuple[tuple[int, ...], Any] = ((), None)

    def answers(self, prompts: Sequence[Sequence[int]], shared: Sequence[int] = ()) -> list[str]:
        """Return the greedy texts that follow prompts, each after the `shared` tokens.

        The prompts of one call are one calculation: rounding depends on which ones they are.
        """
        return [answer.text for answer in self.complete(prompts, shared)]

    def complete(self, prompts: Sequence[Sequence[int]], shared: Sequence[int] = ()) -> list[Piece]:
        """Return greedy answers with their lengths in tokens, and why each ended."""
        return [
            Piece(self._text(ids), len(ids), "stop" if self._ended(ids) else "length")
            for ids in self._generate(prompts, tuple(shared))
        ]

    def stream(self, prompt: Sequence[int], sampling: Sampling) -> Iterator[Piece]:
        """Yield an answer in pieces as it is generated; the last one says why it ended.

        The pieces of a greedy answer make up the text that `answers` returns for the prompt alone.
        """
        text = AnswerText(self._tokenizer, sampling.stop)
        tokens = self._tokens([prompt], (), _chooser(sampling))
        for number, (token,) in enumerate(islice(tokens, sampling.max_new_tokens), 1):
            shown = text.add(token)
            if token in self._ends or text.stopped:
                yield Piece(shown + text.rest(), number, "stop")
                return
            if number < sampling.max_new_tokens:
                yield Piece(shown, number)
            else:
                yield Piece(shown + text.rest(), number, "length")

    def scored(
        self,
        prompt: Sequence[int],
        sampling: Sampling,
        *,
        echo: bool = False,
        going: Callable[[], bool] = lambda: True,
    ) -> tuple[str, list[ScoredToken]]:
        """Return an answer with the log-probability of each token; the text is that of `stream`.

        A token that only ends the answer, or stands in a stop that is cut off, is left out.

        Args:
            prompt: token ids.
            sampling: how tokens are chosen; with 0 new tokens the answer is empty.
            echo: score the tokens of the prompt too, before those of the answer.
            going: asked before each token; where it says no, the answer ends there.
        """
        scores: list[tuple[int, float, int, float]] = []
        choose = _chooser(sampling)

        def note(logits: torch.Tensor) -> torch.Tensor:
            chosen = choose(logits)
            scores.extend(_scores(logits, chosen))
            return chosen

        text, shown = AnswerText(self._tokenizer, sampling.stop), ""
        tokens = self._tokens([prompt], (), note)
        for (token,) in islice(tokens, sampling.max_new_tokens):
            shown += text.add(token)
            if token in self._ends or text.stopped or not going():
                break
        shown += text.rest()
        while scores and len(self._decoded(scores[:-1])) >= len(shown):
            scores.pop()
        before = self._prompt_scores(prompt) if echo else []
        decode = self._tokenizer.decode
        return shown, [
            ScoredToken(decode([token]), score, decode([top]), best)
            for token, score, top, best in (*before, *scores)
        ]

    def _decoded(self, scores: Sequence[tuple[int, float, int, float]]) -> str:
        ids = [token for token, *_ in scores]
        return str(self._tokenizer.decode(ids, skip_special_tokens=True))

    def _prompt_scores(self, prompt: Sequence[int]) -> list[tuple[int, float, int, float]]:
        """Return the scores of a prompt's tokens, each after those before it."""
        ids = torch.tensor(list(prompt), device=self._model.device)
        first = (prompt[0], 0.0, prompt[0], 0.0)
        if len(prompt) == 1:
            return [first]
        with torch.inference_mode():
            logits = self._model(input_ids=ids[None, :-1], use_cache=False).logits[0]
        return [first, *_scores(logits.float(), ids[1:])]

    def _generate(
        self, prompts: Sequence[Sequence[int]], shared: tuple[int, ...]
    ) -> list[list[int]]:
        ids: list[list[int]] = [[] for _ in prompts]
        open_rows = set(range(len(prompts)))
        for tokens in islice(self._tokens(prompts, shared, _greedy), self._limit):
            for row in tuple(open_rows):
                ids[row].append(tokens[row])
                if self._ended(ids[row]):
                    open_rows.discard(row)
            if not open_rows:
                break
        return ids

    def _tokens(
        self, prompts: Sequence[Sequence[int]], shared: tuple[int, ...], choose: Choose
    ) -> Iterator[list[int]]:
        """Yield without end the next token of each prompt."""
        device = self._model.device
        longest = max(map(len, prompts))
        gaps = torch.tensor([longest - len(prompt) for prompt in prompts], device=device)
        fill = self._tokenizer.eos_token_id or 0  # any token: it is masked
        current = torch.tensor(
            [[fill] * (longest - len(prompt)) + list(prompt) for prompt in prompts], device=device
        )
        padded = bool(gaps.any())
        with torch.inference_mode():
            cache = self._cache(shared, len(prompts))
        for step in count():
            # The tokens that the model has seen and the new ones, without the padding.
            seen = len(shared) + longest + step
            with torch.inference_mode():
                masked = _masked(gaps, len(shared), seen, current.shape[1]) if padded else {}
                result = self._model(
                    input_ids=current,
                    past_key_values=cache,
                    use_cache=True,
                    logits_to_keep=1,
                    **masked,
                )
                cache = result.past_key_values
                chosen = choose(result.logits[:, -1].float())
            yield chosen.tolist()
            current = chosen[:, None]

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

    def _ended(self, ids: list[int]) -> bool:
        """Return whether an answer is complete: its last token ends it, or the stop is in it."""
        return ids[-1] in self._ends or (
            self._stop is not None and self._stop in self._tokenizer.decode(ids)
        )


def same_length(prompts: Sequence[Sequence[int]], batch_size: int) -> Iterator[list[int]]:
    """Yield positions of prompts with the same number of tokens, at most `batch_size` at once.

    Raises:
        StepError: a prompt is empty.
    """
    by_length: dict[int, list[int]] = defaultdict(list)
    for index, prompt in enumerate(prompts):
        if not prompt:
            raise StepError(
                "a row has an empty prompt: there is nothing to generate from",
                hint="use a template that puts some text before the answer",
            )
        by_length[len(prompt)].append(index)
    for _, indices in sorted(by_length.items()):
        for first in range(0, len(indices), batch_size):
            yield indices[first : first + batch_size]


def _greedy(logits: torch.Tensor) -> torch.Tensor:
    # Of equal logits the first wins: argmax says so.
    return logits.argmax(dim=-1)


def _scores(logits: torch.Tensor, chosen: torch.Tensor) -> list[tuple[int, float, int, float]]:
    """Return each chosen token, its log-probability, the likeliest token, and that one's.

    Args:
        logits: float32 of shape (places, vocabulary).
        chosen: token ids of shape (places,).
    """
    likely = torch.log_softmax(logits, dim=-1)
    best, top = likely.max(dim=-1)
    own = likely.gather(-1, chosen[:, None])[:, 0]
    return list(zip(chosen.tolist(), own.tolist(), top.tolist(), best.tolist(), strict=True))


def _chooser(sampling: Sampling) -> Choose:
    """Return how tokens are chosen: the likeliest, or drawn by the seed among the likely ones."""
    if sampling.temperature == 0:
        return _greedy
    drawn = torch.Generator().manual_seed(sampling.seed)

    def draw(logits: torch.Tensor) -> torch.Tensor:
        # On the CPU, where the same seed draws the same numbers whatever the device.
        likely = torch.softmax(logits.cpu().double() / sampling.temperature, dim=-1)
        ordered, tokens = likely.sort(dim=-1, descending=True, stable=True)
        before = ordered.cumsum(dim=-1) - ordered
        kept = torch.where(before < sampling.top_p, ordered, 0.0)  # the first one always is
        kept[:, sampling.top_k or kept.shape[1] :] = 0.0
        chosen = tokens.gather(-1, torch.multinomial(kept, 1, generator=drawn))
        return chosen[:, 0].to(logits.device)

    return draw


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
