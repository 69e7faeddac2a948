"""The addresses of a board, and what answers at each."""

from __future__ import annotations

from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from ...runtime.report.page import TEMPLATES as REPORT
from ...schema.errors import KhichdiError
from .guard import SIGN_IN, Guard, Keys
from .pages import STATIC, Board, Form, NotHereError, posting
from .recipe_pages import RecipePages
from .run_pages import RunPages


def make_app(board: Board, hosts: tuple[str, ...], token: str | None) -> Starlette:
    """Return the application.

    Args:
        board: what it shows.
        hosts: the names that browsers may call it by; `*` for any.
        token: what clients have to show; None where everybody on this machine may ask.
    """
    keys = Keys(token)
    faults = Faults(board)
    return Starlette(
        routes=[*_sign_in(board, keys), *_runs(RunPages(board)), *_recipes(RecipePages(board))],
        exception_handlers={
            KhichdiError: faults.known,
            HTTPException: faults.of_starlette,
            Exception: faults.unknown,
        },
        middleware=[
            # Else a page of another site could ask by a name that it points to this machine.
            Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False),
            Middleware(Guard, keys=keys),
        ],
    )  # fmt: skip


def _runs(pages: RunPages) -> list[Route]:
    one = "/runs/{name}"
    return [
        Route("/", pages.list),
        Route("/runs", lambda _: RedirectResponse("/")),
        Route("/news", pages.news),
        Route("/compare", pages.compare),
        Route("/compare/report", pages.compare_report),
        Route(one, pages.one),
        Route(f"{one}/row", pages.row),
        Route(f"{one}/live", pages.live),
        Route(f"{one}/report", pages.report),
        Route(f"{one}/audit", posting(pages.audit), methods=["POST"]),
        Route(f"{one}/tags", posting(pages.tag), methods=["POST"]),
    ]


def _recipes(pages: RecipePages) -> list[Route]:
    return [
        Route("/recipes", pages.list),
        Route("/recipes/new", pages.new),
        Route("/recipes/check", posting(pages.check), methods=["POST"]),
        Route("/recipes/estimate", posting(pages.estimate), methods=["POST"]),
        Route("/recipes/save", posting(pages.save), methods=["POST"]),
        Route("/recipes/own/{name:path}", pages.own),
        Route("/recipes/shipped/{name}", pages.shipped),
        Route("/recipe.schema.json", pages.schema),
        Route("/diff", pages.diff),
        Route("/plugins", pages.plugins),
        Route("/plugins/{kind}/{name}", pages.plugin),
    ]


def _sign_in(board: Board, keys: Keys) -> list[Route | Mount]:
    def ask(request: Request) -> Response:
        return RedirectResponse("/", 303) if keys.opened(request) else board.page("sign_in.html")

    def take(request: Request, form: Form) -> Response:
        if not keys.fit(form.get("token", "").strip()):
            return board.page("sign_in.html", 401, wrong=True)
        response = RedirectResponse("/", 303)
        keys.remember(request, response)
        return response

    return [
        Route(SIGN_IN, ask, methods=["GET"]),
        Route(SIGN_IN, posting(take), methods=["POST"]),
        Route("/assets/page.css", _report_style),
        Mount("/assets", StaticFiles(directory=STATIC)),
    ]


def _report_style(_: Request) -> Response:
    """Return the style that the board shares with reports."""
    text = (REPORT / "page.css").read_text(encoding="utf-8")
    return Response(text, media_type="text/css")


class Faults:
    """Answers where something is wrong."""

    def __init__(self, board: Board) -> None:
        self.board = board

    def known(self, _: Request, error: Any) -> Response:
        """Show an error of ours."""
        return self.board.faults(error)

    def of_starlette(self, request: Request, error: Any) -> Response:
        """Show that there is nothing at an address, or that it takes another method."""
        if error.status_code == 404:
            return self.board.faults(NotHereError("There is no such page on this board."))
        words = f"{request.method} is not answered at {request.url.path[:200]}\n"
        return PlainTextResponse(words, error.status_code, headers=error.headers)

    def unknown(self, _: Request, error: Exception) -> Response:
        """Show that the fault is ours, without details that could be somebody's secret."""
        return self.board.faults(
            KhichdiError(
                f"A fault in khichdi: {type(error).__name__}.",
                hint="please report it, with what KHICHDI_DEBUG=1 prints where the board runs",
            )
        )
