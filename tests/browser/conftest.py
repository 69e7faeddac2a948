"""A real browser: Debian's chromium, driven by Playwright; skipped with a reason without either."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
Open = Callable[..., Any]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """Return the browser, started once."""
    library = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip(f"no browser is installed: none of {', '.join(NAMES)} is on the PATH")
    with library.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def opened(chromium: Any) -> Iterator[Open]:
    """Return a function that opens a page; at the end nothing may be wrong or have been loaded."""
    faults: list[str] = []
    pages: list[Any] = []

    def loaded(address: str) -> None:
        if not address.startswith("file:"):
            faults.append(f"request {address}")

    def open_page(path: Path, *, width: int = 1280, scheme: str = "light", **more: Any) -> Any:
        page = chromium.new_page(
            viewport={"width": width, "height": 900}, color_scheme=scheme, **more
        )
        page.on("console", lambda said: faults.append(f"console {said.type}: {said.text}"))
        page.on("pageerror", lambda error: faults.append(f"error: {error}"))
        page.on(
            "dialog", lambda dialog: (faults.append(f"dialog: {dialog.message}"), dialog.dismiss())
        )
        page.on(
            "request", lambda asked: faults.append(asked.url) if asked.url[:5] != "file:" else None
        )
        page.goto(path.as_uri())
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert not faults
