"""Read requests of OpenAI's API, and write its responses. Nothing here generates or listens."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...plugins.toolkit.answer_text import Piece, Sampling
from ...runtime.inference import row_of
from ...schema.document import parse_json
from ...schema.errors import InputError, KhichdiError
from ..generate import Prompt, check_messages

MOST_STOPS = 4
MOST_PROMPTS = 64
"""Prompts of one request for completions."""
BASE = "base"
"""The name under which the base alone answers."""

COMMON = {
    "model", "max_tokens", "temperature", "top_p", "seed", "stop", "stream", "stream_options", "n",
}  # fmt: skip
READ = {
    "chat": COMMON | {"messages", "max_completion_tokens"},
    "completions": COMMON | {"prompt"},
}
IGNORED = {"user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key"}
"""Fields that change no answer."""
UNSUPPORTED: Mapping[str, tuple[Any, ...]] = {
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logit_bias": ({},),
    "logprobs": (False, 0),
    "top_logprobs": (0,),
    "response_format": ({"type": "text"},),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "parallel_tool_calls": (True, False),
    "best_of": (1,),
    "echo": (False,),
    "suffix": ("",),
}
"""Fields that would change an answer, each with the values that do not; null never does."""


class ApiError(Exception):
    """An answer that is an error, as OpenAI's clients read it."""

    def __init__(
        self, status: int, message: str, *, code: str | None = None, param: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param

    def body(self) -> dict[str, Any]:
        """Return the error's document."""
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        if self.status == 429:
            kind = "rate_limit_error"
        return {
            "error": {
                "message": self.message, "type": kind, "param": self.param, "code": self.code,
            }
        }  # fmt: skip

    @classmethod
    def of(cls, error: KhichdiError) -> ApiError:
        """Return an error of ours as the request's fault."""
        hint = f"; {error.hint}" if error.hint else ""
        code = "context_length_exceeded" if "context" in error.message else None
        return cls(400, f"{error.message}{hint}", code=code)


@dataclass(frozen=True)
class Request:
    """A request, checked.

    Attributes:
        kind: `chat` or `completions`.
        model: the name that the answer is given under.
        prompts: one for a chat.
        sampling: how to answer; `max_new_tokens` is 0 where the request leaves it open.
        base: whether the base alone answers.
        stream: whether the answer is sent as events.
        usage: whether the events end with a count of tokens.
    """

    kind: str
    model: str
    prompts: tuple[Prompt, ...]
    sampling: Sampling
    base: bool
    stream: bool
    usage: bool


def read_request(kind: str, raw: bytes, models: Sequence[str]) -> Request:
    """Return a request.

    Args:
        kind: `chat` or `completions`.
        raw: its body.
        models: the names that may be asked for.

    Raises:
        ApiError: it is not JSON, lacks something, or asks for what is not offered; says which.
    """
    fields = parse_body(raw)
    _check_fields(kind, fields)
    model = _model(fields, models)
    options = fields.get("stream_options", {})
    if not isinstance(options, dict):
        raise ApiError(400, "`stream_options` is not an object", param="stream_options")
    return Request(
        kind=kind,
        model=model,
        prompts=_prompts(kind, fields),
        sampling=_sampling(fields),
        base=model == BASE,
        stream=flag(fields, "stream"),
        usage=flag(options, "include_usage"),
    )


def parse_body(raw: bytes) -> dict[str, Any]:
    """Return the fields of a request's body; null is as if the field were not there.

    Raises:
        ApiError: it is not a JSON object.
    """
    try:
        body = parse_json(raw)
    except (InputError, ValueError, RecursionError) as error:
        words = error.message if isinstance(error, InputError) else str(error)[:200]
        raise ApiError(400, f"the body is not JSON: {words}") from None
    if not isinstance(body, dict):
        raise ApiError(400, "the body is not a JSON object")
    return {name: value for name, value in body.items() if value is not None}


def _check_fields(kind: str, fields: Mapping[str, Any]) -> None:
    for name, value in fields.items():
        if name in READ[kind] or name in IGNORED:
            continue
        if name not in UNSUPPORTED:
            raise ApiError(400, f"unrecognized request argument: {name[:80]}", param=name[:80])
        if not any(value == plain and type(value) is type(plain) for plain in UNSUPPORTED[name]):
            raise ApiError(
                400, f"`{name}` is not supported here", code="unsupported_parameter", param=name
            )
    if fields.get("n", 1) != 1:
        raise ApiError(400, "`n` is not supported here: ask again with another seed", param="n")


def _model(fields: Mapping[str, Any], models: Sequence[str]) -> str:
    model = fields.get("model")
    if not isinstance(model, str):
        raise ApiError(400, f"`model` is missing: it is one of {', '.join(models)}", param="model")
    if model not in models:
        raise ApiError(
            404, f"there is no model `{model[:80]}`, only {', '.join(models)}",
            code="model_not_found", param="model",
        )  # fmt: skip
    return model


def _prompts(kind: str, fields: Mapping[str, Any]) -> tuple[Prompt, ...]:
    name = "messages" if kind == "chat" else "prompt"
    if name not in fields:
        raise ApiError(400, f"`{name}` is missing", param=name)
    if kind == "chat":
        try:
            return (row_of(check_messages(fields["messages"], "the request")),)
        except InputError as error:
            hint = f"; {error.hint}" if error.hint else ""
            raise ApiError(400, f"{error.message}{hint}", param="messages") from None
    prompt = fields["prompt"]
    prompts = [prompt] if isinstance(prompt, str) else prompt
    texts = isinstance(prompts, list) and all(isinstance(one, str) for one in prompts)
    if not texts or not 1 <= len(prompts) <= MOST_PROMPTS:
        raise ApiError(
            400, f"`prompt` is not a text or a list of 1 to {MOST_PROMPTS} texts", param="prompt"
        )
    return tuple(prompts)


def _sampling(fields: Mapping[str, Any]) -> Sampling:
    limit = "max_completion_tokens" if "max_completion_tokens" in fields else "max_tokens"
    stop = fields.get("stop", [])
    stops = [stop] if isinstance(stop, str) else stop
    if (
        not isinstance(stops, list)
        or len(stops) > MOST_STOPS
        or not all(isinstance(one, str) and one for one in stops)
    ):
        raise ApiError(
            400, f"`stop` is not a text or a list of at most {MOST_STOPS} texts", param="stop"
        )
    return Sampling(
        max_new_tokens=int(number(fields, limit, 0, 1, 2**31, whole=True)),
        temperature=number(fields, "temperature", 0.0, 0, 2),
        top_p=number(fields, "top_p", 1.0, 0, 1) or 1e-9,
        seed=int(number(fields, "seed", secrets.randbelow(2**31), 0, 2**63 - 1, whole=True)),
        stop=tuple(stops),
    )


def number(
    fields: Mapping[str, Any], name: str, default: float, low: float, high: float, *,
    whole: bool = False,
) -> float:  # fmt: skip
    """Return a number of a request, from `low` to `high`, or the default.

    Raises:
        ApiError: it is something else.
    """
    if name not in fields:
        return default
    value: Any = fields[name]
    is_number = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
    if not is_number or not low <= value <= high:
        what = "a whole number" if whole else "a number"
        raise ApiError(400, f"`{name}` is not {what} from {low} to {high}", param=name)
    return float(value) if not whole else value


def flag(fields: Mapping[str, Any], name: str, *, default: bool = False) -> bool:
    """Return whether a request says true, or the default.

    Raises:
        ApiError: it says neither true nor false.
    """
    value = fields.get(name, default)
    if not isinstance(value, bool):
        raise ApiError(400, f"`{name}` is not true or false", param=name)
    return value


# ---- responses ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reply:
    """Writes the response to one request.

    Attributes:
        request: the request.
        created: when it was answered, in seconds since 1970.
        fingerprint: names the weights that answer.
    """

    request: Request
    created: int
    fingerprint: str
    id: str

    def whole(self, texts: Sequence[str], ends: Sequence[str], usage: Any) -> dict[str, Any]:
        """Return a response in one document."""
        chat = self.request.kind == "chat"
        choices = [
            {
                "index": index,
                **({"message": {"role": "assistant", "content": text}} if chat else {"text": text}),
                "logprobs": None,
                "finish_reason": end,
            }
            for index, (text, end) in enumerate(zip(texts, ends, strict=True))
        ]
        kind = "chat.completion" if chat else "text_completion"
        return {**self._head(kind), "choices": choices, "usage": usage}

    def start(self) -> list[dict[str, Any]]:
        """Return the events before the first text: a chat's names the role."""
        if self.request.kind != "chat":
            return []
        return [self._event(0, {"role": "assistant", "content": ""}, None)]

    def piece(self, index: int, piece: Piece) -> list[dict[str, Any]]:
        """Return the events of a piece of an answer."""
        chat = self.request.kind == "chat"
        events = []
        if piece.text:
            events.append(self._event(index, {"content": piece.text} if chat else piece.text, None))
        if piece.finish:
            events.append(self._event(index, {} if chat else "", piece.finish))
        return events

    def end(self, usage: Any) -> list[dict[str, Any]]:
        """Return the events after the last text: the usage, if it was asked for."""
        return [{**self._head(self._kind()), "choices": [], "usage": usage}] * self.request.usage

    def _kind(self) -> str:
        return "chat.completion.chunk" if self.request.kind == "chat" else "text_completion"

    def _event(self, index: int, value: Any, end: str | None) -> dict[str, Any]:
        name = "delta" if self.request.kind == "chat" else "text"
        choice = {"index": index, name: value, "logprobs": None, "finish_reason": end}
        event = {**self._head(self._kind()), "choices": [choice]}
        return {**event, "usage": None} if self.request.usage else event

    def _head(self, kind: str) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.request.model,
            "system_fingerprint": self.fingerprint,
        }


def usage_of(prompts: int, answers: int) -> dict[str, int]:
    """Return the count of tokens as OpenAI writes it."""
    return {
        "prompt_tokens": prompts,
        "completion_tokens": answers,
        "total_tokens": prompts + answers,
    }


def as_event(document: Any) -> str:
    """Return a document as a server-sent event."""
    return f"data: {json.dumps(document, ensure_ascii=False)}\n\n"


DONE = "data: [DONE]\n\n"
