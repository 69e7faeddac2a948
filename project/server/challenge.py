"""Requests of the NeurIPS 2023 LLM Efficiency Challenge's HTTP interface, and their answers.

`/process`, `/tokenize` and `/decode`, as the challenge's OpenAPI document and the client in HELM
(`helm.clients.http_model_client`) have them. Nothing here listens.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Protocol

from ...plugins.toolkit.answer_text import Sampling
from ...runtime.inference import RunModel
from .protocol import ApiError, flag, number, parse_body

NEW_TOKENS, TEMPERATURE = 50, 0.8
"""Of an answer where a request leaves them open, by the challenge's document."""
MOST_TOKENS = 2048
"""Tokens that `/tokenize` truncates to where a request leaves it open, by the same."""
GREEDY = 1e-6
"""The highest temperature that is answered greedily: HELM's client writes 1e-7 for 0."""
PROCESS = {
    "prompt", "max_new_tokens", "temperature", "top_p", "top_k", "seed", "echo_prompt",
    "stop_sequences", "num_samples", "num_return_sequences", "top_k_per_token",
}  # fmt: skip
"""Fields that are read. The response has one answer, with the likeliest token at each place, so
the last three, which ask for more answers or candidates, change nothing."""


class Task(Protocol):
    """A request that is answered with one document."""

    def answer(self, model: RunModel, going: Callable[[], bool]) -> dict[str, Any]:
        """Return the response; `going` says no when nobody waits for it any more."""


@dataclass(frozen=True)
class Process:
    """Continue a prompt, taken as it is."""

    prompt: str
    sampling: Sampling
    echo: bool

    def answer(self, model: RunModel, going: Callable[[], bool]) -> dict[str, Any]:
        """Return text, tokens with log-probabilities, their sum, and the seconds it took."""
        start = perf_counter()
        ids = model.encode(self.prompt)
        text, tokens = model.scored(ids, self.sampling, echo=self.echo, going=going)
        return {
            "text": self.prompt + text if self.echo else text,
            "tokens": [
                {
                    "text": token.text, "logprob": token.logprob,
                    "top_logprob": {token.top_text: token.top_logprob},
                }
                for token in tokens
            ],
            "logprob": sum(token.logprob for token in tokens),
            "request_time": perf_counter() - start,
        }  # fmt: skip


@dataclass(frozen=True)
class Tokenize:
    """Turn a text to tokens, the first `most` of them; None for all."""

    text: str
    most: int | None

    def answer(self, model: RunModel, going: Callable[[], bool]) -> dict[str, Any]:
        """Return token ids, as `/process` reads the text, and the seconds it took."""
        start = perf_counter()
        ids = model.encode(self.text)[: self.most] if self.text else []
        return {"tokens": ids, "request_time": perf_counter() - start}


@dataclass(frozen=True)
class Decode:
    """Turn tokens to a text."""

    tokens: tuple[int, ...]

    def answer(self, model: RunModel, going: Callable[[], bool]) -> dict[str, Any]:
        """Return the text, and the seconds it took."""
        start = perf_counter()
        return {"text": model.decode(self.tokens), "request_time": perf_counter() - start}


def read_process(raw: bytes) -> Process:
    """Return a request to `/process`.

    Raises:
        ApiError: it is not JSON, lacks something, or asks for what is not offered; says which.
    """
    fields = _fields(raw, PROCESS)
    stops = fields.get("stop_sequences", [])
    if not isinstance(stops, list) or not all(isinstance(one, str) and one for one in stops):
        raise ApiError(400, "`stop_sequences` is not a list of texts", param="stop_sequences")
    for name in ("num_samples", "num_return_sequences", "top_k_per_token"):
        number(fields, name, 1, 1, 2**31, whole=True)
    temperature = number(fields, "temperature", TEMPERATURE, 0, 100)
    sampling = Sampling(
        max_new_tokens=int(number(fields, "max_new_tokens", NEW_TOKENS, 0, 2**31, whole=True)),
        temperature=temperature if temperature > GREEDY else 0.0,
        top_p=number(fields, "top_p", 1.0, 0, 1) or 1e-9,
        seed=int(number(fields, "seed", secrets.randbelow(2**31), 0, 2**63 - 1, whole=True)),
        stop=tuple(stops),
        top_k=int(number(fields, "top_k", 0, 0, 2**31, whole=True)),
    )
    return Process(_text(fields, "prompt"), sampling, flag(fields, "echo_prompt"))


def read_tokenize(raw: bytes) -> Tokenize:
    """Return a request to `/tokenize`.

    Raises:
        ApiError: it is not JSON, lacks something, or asks for what is not offered; says which.
    """
    fields = _fields(raw, {"text", "truncation", "max_length"})
    most = int(number(fields, "max_length", MOST_TOKENS, 1, 2**31, whole=True))
    truncate = flag(fields, "truncation", default=True)
    return Tokenize(_text(fields, "text"), most if truncate else None)


def read_decode(raw: bytes) -> Decode:
    """Return a request to `/decode`.

    Raises:
        ApiError: it is not JSON, lacks something, or asks for what is not offered; says which.
    """
    fields = _fields(raw, {"tokens"})
    tokens = fields.get("tokens")
    if not isinstance(tokens, list) or not all(type(one) is int for one in tokens):
        raise ApiError(400, "`tokens` is not a list of token ids", param="tokens")
    return Decode(tuple(tokens))


def _fields(raw: bytes, known: set[str]) -> dict[str, Any]:
    fields = parse_body(raw)
    unknown = next((name for name in fields if name not in known), None)
    if unknown is not None:
        raise ApiError(
            400, f"unrecognized field `{unknown[:80]}`: {', '.join(sorted(known))} are read",
            param=unknown[:80],
        )  # fmt: skip
    return fields


def _text(fields: Mapping[str, Any], name: str) -> str:
    text = fields.get(name)
    if not isinstance(text, str):
        raise ApiError(400, f"`{name}` is missing, or not a text", param=name)
    return text
