"""Who may ask what of a board, and what a browser may do with its pages.

A page of another site, opened in the same browser, is the danger of a server on one's own machine:
it must neither read an answer nor cause a change. So the name that it is called by is checked
(`TrustedHostMiddleware`), writes must come from the board's own pages, requests that another site
makes are refused but for links to follow, and no header lets another site read anything.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""What a browser lets a page do: load the board's own style and scripts, and ask the board."""
HEADERS: Mapping[str, str] = {
    "content-security-policy": POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}
SIGN_IN = "/sign-in"
OPEN = (SIGN_IN, "/assets/")
"""Addresses that need no token: the page that asks for it, and what that page is made of."""
READING = ("GET", "HEAD")


@dataclass(frozen=True)
class Keys:
    """What proves that a client has the token: the token itself, or the cookie of a signed-in one.

    Attributes:
        token: what clients have to show; None where everybody on this machine may ask.
        session: the cookie's value, which is drawn for each start of the server.
    """

    token: str | None
    session: str = field(default_factory=lambda: secrets.token_urlsafe(32))

    def fit(self, token: str) -> bool:
        """Return whether this is the token."""
        return self.token is None or _same(token, self.token)

    def opened(self, request: Request) -> bool:
        """Return whether a request shows the token, or the cookie of one who has."""
        if self.token is None:
            return True
        kind, _, shown = request.headers.get("authorization", "").partition(" ")
        if kind.casefold() == "bearer" and self.fit(shown.strip()):
            return True
        return _same(_cookies(request).get(cookie_name(request), ""), self.session)

    def remember(self, request: Request, response: Response) -> None:
        """Set the cookie, which no script can read and no other site sends."""
        response.set_cookie(
            cookie_name(request), self.session, httponly=True, samesite="strict", path="/"
        )


class Guard:
    """Refuses what may not be asked, and adds headers to every answer.

    Args:
        app: answers what may be asked.
        keys: who may ask.
    """

    def __init__(self, app: ASGIApp, keys: Keys) -> None:
        self.app = app
        self.keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        request = Request(scope)
        answer: ASGIApp = self._refusal(request) or self.app
        await answer(scope, receive, with_headers)

    def _refusal(self, request: Request) -> Response | None:
        foreign = _foreign(request.headers, request.method, request.url.scheme)
        if foreign is not None:
            return PlainTextResponse(f"refused: {foreign}\n", 403)
        path = request.url.path
        if self.keys.opened(request) or any(path.startswith(start) for start in OPEN):
            return None
        wants_page = "text/html" in request.headers.get("accept", "")
        if wants_page and request.method == "GET" and "hx-request" not in request.headers:
            return RedirectResponse(SIGN_IN, 303)
        return PlainTextResponse(
            "the token is missing or wrong: send it as `Authorization: Bearer TOKEN`\n",
            401,
            {"www-authenticate": "Bearer"},
        )


def _foreign(headers: Headers, method: str, scheme: str) -> str | None:
    """Return why a request is refused as another site's; None where it is not."""
    own = f"{scheme}://{headers.get('host', '')}"
    if method not in READING:
        origin = headers.get("origin")
        if origin is None:
            return f"a request that writes has to name its origin: `Origin: {own}`"
        return None if origin == own else "it comes from a page of another site"
    site = headers.get("sec-fetch-site", "none")
    if site in ("none", "same-origin"):
        return None
    # A link on another site may be followed: what it shows is shown to the reader alone.
    followed = (
        headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    )
    return None if followed else "it comes from a page of another site"


def cookie_name(request: Request) -> str:
    """Return the cookie's name: browsers send cookies to every port of a host."""
    return f"khichdi-board-{request.url.port or 80}"


def _cookies(request: Request) -> dict[str, str]:
    try:
        found: SimpleCookie = SimpleCookie(request.headers.get("cookie", ""))
    except CookieError:
        return {}
    return {name: morsel.value for name, morsel in found.items()}


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())
