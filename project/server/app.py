"""The addresses that a model answers at: authentication, limits and events."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import time
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from ...plugins.toolkit.answer_text import Piece
from .challenge import Task, read_decode, read_process, read_tokenize
from .protocol import (
    DONE,
    ApiError,
    Reply,
    Request,
    as_event,
    read_request,
    usage_of,
)
from .worker import Accepted, Done, Event, Job, Worker

LARGEST = 8 << 20
"""Bytes of a request at most."""
LOOK = 0.5
"""Seconds after which it is looked whether a client still waits."""


@dataclass(frozen=True)
class Service:
    """What is served, and to whom.

    Attributes:
        worker: has the model.
        models: the names that it answers under.
        owner: the recipe, as the owner of the models.
        created: when the run was made, in seconds since 1970.
        fingerprint: names the weights that answer.
        token: what clients have to show; None where everybody on this machine may ask.
        hosts: names that clients may call the server by; `*` for any.
        timeout: seconds that a request may take, waiting included.
    """

    worker: Worker
    models: tuple[str, ...]
    owner: str
    created: int
    fingerprint: str
    token: str | None
    hosts: tuple[str, ...]
    timeout: float


def make_app(service: Service) -> Starlette:
    """Return the application."""
    handlers = Handlers(service)
    return Starlette(
        routes=[
            Route("/health", handlers.health),
            Route("/v1/models", handlers.list_models),
            Route("/v1/models/{name}", handlers.one_model),
            Route("/v1/chat/completions", handlers.chat, methods=["POST"]),
            Route("/v1/completions", handlers.completions, methods=["POST"]),
            Route("/process", handlers.process, methods=["POST"]),
            Route("/tokenize", handlers.tokenize, methods=["POST"]),
            Route("/decode", handlers.decode, methods=["POST"]),
        ],
        exception_handlers={ApiError: _api_error, HTTPException: _http_error, Exception: _fault},
        # Else a page of another site could ask by a name that it points to this machine.
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=list(service.hosts))],
    )


class Handlers:
    """Answers at each address."""

    def __init__(self, service: Service) -> None:
        self.service = service

    async def health(self, _: HttpRequest) -> Response:
        """Say that the model is loaded."""
        return JSONResponse({"status": "ok"})

    async def list_models(self, request: HttpRequest) -> Response:
        """List the trained model and its base."""
        self._authenticate(request)
        data = [self._model(name) for name in self.service.models]
        return JSONResponse({"object": "list", "data": data})

    async def one_model(self, request: HttpRequest) -> Response:
        """Describe one model."""
        self._authenticate(request)
        name = request.path_params["name"]
        if name not in self.service.models:
            raise ApiError(404, f"there is no model `{name[:80]}`", code="model_not_found")
        return JSONResponse(self._model(name))

    async def chat(self, request: HttpRequest) -> Response:
        """Answer a chat."""
        return await self._answer(request, "chat")

    async def completions(self, request: HttpRequest) -> Response:
        """Continue texts as they are."""
        return await self._answer(request, "completions")

    async def process(self, request: HttpRequest) -> Response:
        """Answer HELM with the trained model."""
        return await self._do(request, read_process)

    async def tokenize(self, request: HttpRequest) -> Response:
        """Turn a text to tokens."""
        return await self._do(request, read_tokenize)

    async def decode(self, request: HttpRequest) -> Response:
        """Turn tokens to a text."""
        return await self._do(request, read_decode)

    def _model(self, name: str) -> dict[str, Any]:
        return {
            "id": name,
            "object": "model",
            "created": self.service.created,
            "owned_by": self.service.owner,
        }

    def _authenticate(self, request: HttpRequest) -> None:
        token = self.service.token
        if token is None:
            return
        told = request.headers.get("authorization", "").encode()
        if not hmac.compare_digest(told, f"Bearer {token}".encode()):
            raise ApiError(
                401, "the token is missing or wrong: send it as `Authorization: Bearer TOKEN`",
                code="invalid_api_key",
            )  # fmt: skip

    async def _allowed(self, http: HttpRequest) -> bytes:
        """Return the body of a request that may be answered."""
        self._authenticate(http)
        if not http.headers.get("content-type", "").startswith("application/json"):
            # Pages of other sites cannot send this type without asking first.
            raise ApiError(415, "the content type is not application/json")
        return await _body(http)

    async def _do(self, http: HttpRequest, read: Callable[[bytes], Task]) -> Response:
        task = read(await self._allowed(http))
        return JSONResponse(await Conversation(task, self.service, http).document())

    async def _answer(self, http: HttpRequest, kind: str) -> Response:
        request = read_request(kind, await self._allowed(http), self.service.models)
        conversation = Conversation(request, self.service, http)
        reply = Reply(
            request, int(time.time()), self.service.fingerprint,
            f"{'chatcmpl' if kind == 'chat' else 'cmpl'}-{uuid.uuid4().hex}",
        )  # fmt: skip
        tokens = await conversation.accepted()
        if request.stream:
            events = _events(conversation, reply, tokens)
            headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
            return StreamingResponse(events, media_type="text/event-stream", headers=headers)
        return await _whole(conversation, reply, tokens)


class Conversation:
    """A request and what the worker says of it, in the server's own thread."""

    def __init__(self, request: Request | Task, service: Service, http: HttpRequest) -> None:
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._until = self._loop.time() + service.timeout
        self._http = http
        self._answers = len(request.prompts) if isinstance(request, Request) else 1
        self.job = Job(request, self._say)
        service.worker.put(self.job)

    def _say(self, event: Event) -> None:
        """Take an event from the worker's thread; the loop may be gone when the server stops."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._events.put_nowait, event)

    async def accepted(self) -> int:
        """Wait until the request is accepted, and return the tokens of its prompts.

        Raises:
            ApiError: it is refused, or it waited too long.
        """
        event = await self._next()
        assert isinstance(event, Accepted)
        return event.tokens

    async def document(self) -> dict[str, Any]:
        """Return the response to a task.

        Raises:
            ApiError: it is refused or failed, or took too long.
        """
        event = await self._next()
        assert isinstance(event, Done)
        return event.document

    async def pieces(self) -> AsyncIterator[tuple[int, Piece]]:
        """Yield each piece of each answer.

        Raises:
            ApiError: the answer failed, or took too long.
        """
        left = self._answers
        try:
            while left:
                event = await self._next()
                assert isinstance(event, tuple)
                left -= event[1].finish is not None
                yield event
        finally:
            self.job.gone.set()

    async def _next(self) -> Event:
        """Return the next event; look now and then whether the client is still there."""
        while True:
            left = self._until - self._loop.time()
            if left <= 0:
                self.job.gone.set()
                raise ApiError(504, "the answer took too long")
            try:
                event = await asyncio.wait_for(self._events.get(), min(LOOK, left))
            except TimeoutError:
                if await self._http.is_disconnected():
                    self.job.gone.set()
                    raise ApiError(499, "the client left") from None
                continue
            except asyncio.CancelledError:
                self.job.gone.set()
                raise
            if isinstance(event, ApiError):
                raise event
            return event


async def _whole(conversation: Conversation, reply: Reply, prompt_tokens: int) -> Response:
    count = len(reply.request.prompts)
    texts, ends, tokens = [""] * count, ["stop"] * count, [0] * count
    async for index, piece in conversation.pieces():
        texts[index] += piece.text
        tokens[index] = piece.tokens
        ends[index] = piece.finish or ends[index]
    return JSONResponse(reply.whole(texts, ends, usage_of(prompt_tokens, sum(tokens))))


async def _events(
    conversation: Conversation, reply: Reply, prompt_tokens: int
) -> AsyncIterator[str]:
    tokens = [0] * len(reply.request.prompts)
    try:
        for document in reply.start():
            yield as_event(document)
        async for index, piece in conversation.pieces():
            tokens[index] = piece.tokens
            for document in reply.piece(index, piece):
                yield as_event(document)
        for document in reply.end(usage_of(prompt_tokens, sum(tokens))):
            yield as_event(document)
    except ApiError as error:
        yield as_event(error.body())
        return
    finally:
        conversation.job.gone.set()
    yield DONE


async def _body(request: HttpRequest) -> bytes:
    found = bytearray()
    async for chunk in request.stream():
        found += chunk
        if len(found) > LARGEST:
            raise ApiError(413, f"the request has over {LARGEST:,} bytes")
    return bytes(found)


async def _api_error(_: HttpRequest, error: Any) -> Response:
    headers = {}
    if error.status == 401:
        headers["www-authenticate"] = "Bearer"
    if error.status in (429, 503):
        headers["retry-after"] = "1"
    return JSONResponse(error.body(), status_code=error.status, headers=headers)


async def _http_error(request: HttpRequest, error: Any) -> Response:
    words = {404: "there is nothing at", 405: "another method is expected at"}
    told = f"{words.get(error.status_code, 'error at')} {request.url.path[:200]}"
    return JSONResponse(ApiError(error.status_code, told).body(), status_code=error.status_code)


async def _fault(_: HttpRequest, error: Exception) -> Response:
    told = f"a fault in khichdi: {type(error).__name__}"
    return JSONResponse(ApiError(500, told).body(), status_code=500)
