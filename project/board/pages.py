"""What all pages of a board share: its settings, its templates, forms, and how errors are shown."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote

from jinja2 import Environment
from markupsafe import Markup, escape
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from ...runtime.report.page import environment
from ...runtime.store.store import Store
from ...schema.errors import InputError, KhichdiError
from ...schema.printable import printable
from ...schema.secrets import mask
from ...schema.units import duration
from .recipe_files import RecipeFolder
from .runs_index import RunsIndex

HERE = Path(__file__).parent
TEMPLATES, STATIC = HERE / "templates", HERE / "static"
LARGEST = 1 << 20
"""Bytes of a form, at most."""
FIELDS = 100
NOT_WRITABLE = "this board only shows: start it with `recipe ui --write` to change things by it"

Form = Mapping[str, str]
Answer = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class Board:
    """A board over a store.

    Attributes:
        store: the store.
        folder: the folder whose recipes it shows.
        write: whether it may change tags and recipes.
    """

    store: Store
    folder: RecipeFolder
    write: bool = False
    index: RunsIndex = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "index", RunsIndex(self.store))

    @cached_property
    def templates(self) -> Environment:
        """The template engine."""
        made = environment(TEMPLATES)
        made.filters["path"] = lambda name: quote(name, safe="/")
        made.filters["exact"] = _exact
        made.filters["ticks"] = ticks
        made.filters["duration"] = duration
        made.filters["minute"] = lambda text: text[:16].replace("T", " ")
        made.globals.update(board=self, version=version("khichdi"))
        return made

    def page(self, template: str, status: int = 200, **values: Any) -> HTMLResponse:
        """Return a page, or a part of one."""
        return HTMLResponse(self.templates.get_template(template).render(**values), status)

    def refuse_writing(self) -> None:
        """Refuse a change, unless the board may make it.

        Raises:
            RefusedError: it may not.
        """
        if not self.write:
            raise RefusedError(NOT_WRITABLE)

    def faults(self, error: KhichdiError) -> HTMLResponse:
        """Return the page that says what is wrong."""
        title, status = "That did not work", 500
        if isinstance(error, RefusedError):
            title, status = "Not allowed here", 403
        elif isinstance(error, NotHereError):
            title, status = "There is nothing here", 404
        elif isinstance(error, InputError):
            title, status = "That cannot be shown", 400
        return self.page("fault.html", status, title=title, error=error)


class RefusedError(InputError):
    """A change that this board may not make."""

    code = "refused"


class NotHereError(InputError):
    """An address at which there is nothing."""

    code = "not-here"


def _exact(text: str) -> Markup:
    """Return text for a field that is sent back: escaped, and otherwise as it is."""
    return Markup(escape(text))


def ticks(text: str) -> Markup:
    """Return a message of ours with what stands between backticks as code."""
    parts = mask(printable(text)).split("`")
    if len(parts) % 2 == 0:
        return Markup(escape("`".join(parts)))
    code = Markup("<code>{}</code>")
    return Markup("").join(code.format(one) if n % 2 else one for n, one in enumerate(parts))


def posting(work: Callable[[Request, Form], Response]) -> Answer:
    """Return an answer to a form: its fields are read, then the work is done in a thread."""

    async def answer(request: Request) -> Response:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > LARGEST:
                raise InputError(f"the form has over {LARGEST:,} bytes")
        text = bytes(body).decode("utf-8", errors="replace")
        try:
            pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=FIELDS)
        except ValueError:
            raise InputError(f"the form has over {FIELDS} fields") from None
        return await run_in_threadpool(work, request, dict(pairs))

    return answer
