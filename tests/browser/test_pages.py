"""Report and audit pages in a real browser: they search, fit, read well, and run nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import khichdi
from khichdi.cli.main import main
from khichdi.runtime.report.browsing import Item, browser
from khichdi.runtime.report.page import render

pytestmark = pytest.mark.heavy
WIDTHS = (390, 820, 1280)
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\x1b[2J\u202eevil"
ROWS = 20_000
Open = Callable[..., Any]

HOSTILE_RECIPE = """\
recipe: 1
name: hostile
description: "</style><script>alert(0)</script>"
data:
  one:
    source: {use: files, include: [one.jsonl]}
    read: {use: jsonl}
    filters: [{use: max-words, fields: [input], below: 9}]
mixture: {validation: {count: 2}}
"""


@pytest.fixture(scope="module")
def run_pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the pages of a run on hostile rows: its report, a comparison, and its audit."""
    import json

    folder = tmp_path_factory.mktemp("hostile")
    rows = [
        {"instruction": HOSTILE, "input": f"{n} " + "w " * n, "output": HOSTILE, "task": HOSTILE}
        for n in range(20)
    ]
    (folder / "one.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "hostile.yaml").write_text(HOSTILE_RECIPE)
    store = str(folder / "store")
    run = khichdi.open_recipe(folder / "hostile.yaml", store=store).run()
    pages = {name: folder / f"{name}.html" for name in ("report", "two", "audit")}
    for words in (
        ["report", run.name, "-o", str(pages["report"])],
        ["report", run.name, run.name, "-o", str(pages["two"])],
        ["audit", run.name, "--html", str(pages["audit"])],
    ):
        assert main([*words, "--store", store, "-q"]) == 0
    return pages


@pytest.fixture(scope="module")
def large_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a page with 20,000 predictions, hostile ones among them."""
    items: list[Item] = [
        (
            f"one/f.jsonl#{n}",
            ["right" if n % 4 else "wrong"],
            [f"What is {n} times 3?", str(3 * n), str(3 * n) if n % 4 else HOSTILE],
        )
        for n in range(ROWS)
    ]
    found = browser("predictions-1", ["Asked", "Expected", "Trained"], items, ROWS, "predictions")
    page = render(
        "compare.html",
        runs=[],
        title="large",
        same=False,
        changes=[],
        metrics=[],
        charts=[],
        flows=[],
        sources=[],
        cost=[],
        digests=[],
        predictions=found,
        glossary=[],
    )
    path = tmp_path_factory.mktemp("large") / "large.html"
    path.write_text(page, encoding="utf-8")
    assert path.stat().st_size < 3_000_000
    assert found.note.startswith("All 20,000")
    return path


def wait(page: Any, words: str, root: str = "#predictions-1") -> None:
    """Wait until the status is these words; the page lets nobody evaluate text, tests included."""
    exactly = re.compile(rf"^\s*{re.escape(words)}\s*$")
    page.locator(f"{root} .status").filter(has_text=exactly).wait_for()


def status(page: Any, root: str = "#predictions-1") -> str:
    text: str = page.locator(f"{root} .status").inner_text()
    return text


def test_20_000_rows_are_searched_chosen_and_paged_by_keyboard(
    opened: Open, large_page: Path
) -> None:
    page = opened(large_page)
    wait(page, "20,000 of 20,000 rows, page 1 of 2,000")
    page.get_by_label("Search").focus()
    page.keyboard.type("is 19999 TIMES")
    wait(page, "1 of 20,000 rows, page 1 of 1")
    item = page.locator(".item")
    assert item.count() == 1
    assert "59997" in item.inner_text()
    assert page.locator("mark").inner_text() == "is 19999 times"
    page.get_by_label("Search").fill("")
    page.get_by_label("Show").select_option("wrong")
    wait(page, "5,000 of 20,000 rows, page 1 of 500")
    page.get_by_role("button", name="Next page").focus()
    page.keyboard.press("Enter")
    assert status(page) == "5,000 of 20,000 rows, page 2 of 500"
    assert page.locator(".item code").first.inner_text() == "one/f.jsonl#40"
    page.get_by_label("Search").fill("no row has this")
    wait(page, "0 of 20,000 rows, page 1 of 1")
    assert page.get_by_role("button", name="Next page").is_disabled()


def test_hostile_rows_are_text_and_nothing_else(
    opened: Open, large_page: Path, run_pages: dict[str, Path]
) -> None:
    shown = HOSTILE.replace("\x1b", "\\x1b").replace("\u202e", "\\u202e")
    page = opened(large_page)
    page.get_by_label("Search").fill("<script>alert")
    wait(page, "5,000 of 20,000 rows, page 1 of 500")
    assert shown in page.locator(".item").first.inner_text()
    assert page.locator(".items img, .items script").count() == 0
    report = opened(run_pages["report"])
    wait(report, "12 of 12 rows, page 1 of 2", "#drops")
    assert shown in report.locator("#drops .item").first.inner_text()
    assert report.locator("img").count() == 0
    assert "</style><script>alert(0)" in report.locator("header").inner_text()


def check(page: Any) -> None:
    """Refuse a page that overflows sideways, or that axe finds a fault in."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    past = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(past) == 0
    found = axe.run(page).response["violations"]
    assert not [(one["id"], one["nodes"][0]["html"]) for one in found]


@pytest.mark.parametrize(
    ("name", "width", "scheme"),
    [
        ("report", 390, "dark"),
        ("report", 1280, "light"),
        ("two", 390, "light"),
        ("audit", 390, "dark"),
    ],
)
def test_a_page_fits_and_can_be_read_by_all(
    opened: Open, run_pages: dict[str, Path], name: str, width: int, scheme: str
) -> None:
    check(opened(run_pages[name], width=width, scheme=scheme))


@pytest.mark.nightly
@pytest.mark.slow
@pytest.mark.parametrize("name", ["report", "two", "audit", "trained"])
def test_a_page_fits_every_width_in_light_and_dark(
    opened: Open,
    run_pages: dict[str, Path],
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = run_pages.get(name) or tmp_path / "trained.html"
    if name == "trained":
        monkeypatch.chdir(tmp_path)
        khichdi.open_recipe("quickstart", settings={"train.num_epochs": 1}, store="store").run()
        assert main(["report", "latest", "-o", str(path), "--store", "store"]) == 0
    for scheme in ("light", "dark"):
        for width in WIDTHS:
            check(opened(path, width=width, scheme=scheme))


def test_the_colors_follow_the_reader(opened: Open, run_pages: dict[str, Path]) -> None:
    color = "getComputedStyle(document.body).backgroundColor"
    light, dark = (opened(run_pages["report"], scheme=s).evaluate(color) for s in ("light", "dark"))
    assert light == "rgb(255, 255, 255)"
    assert dark == "rgb(20, 23, 27)"


def test_a_page_can_be_read_without_its_script(opened: Open, run_pages: dict[str, Path]) -> None:
    page = opened(run_pages["report"], java_script_enabled=False)
    assert page.locator("#drops .item").count() == 10
    assert not page.get_by_label("Search").first.is_visible()


def test_a_page_prints_with_its_tables_open(opened: Open, run_pages: dict[str, Path]) -> None:
    page = opened(run_pages["report"])
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    assert page.pdf(format="A4")[:5] == b"%PDF-"


def test_the_first_stop_of_the_keyboard_leads_to_the_content(
    opened: Open, run_pages: dict[str, Path]
) -> None:
    page = opened(run_pages["report"])
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
