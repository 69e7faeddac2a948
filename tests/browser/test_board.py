"""The board in a real browser: it fits, reads well, works by keyboard, and moves with a run."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import khichdi
from khichdi.project.observer import Observer
from khichdi.schema.record import RecordedStep

from .test_pages import HOSTILE, HOSTILE_RECIPE, WIDTHS, check

pytest.importorskip("uvicorn", reason="the extra `serve` is not installed")
pytestmark = pytest.mark.heavy
Open = Callable[..., Any]

SELECTED = """() => {
  const field = document.activeElement;
  return field.value.slice(field.selectionStart, field.selectionEnd);
}"""
WRONG = HOSTILE_RECIPE.replace("max-words", "max-wordz")


class Board:
    """A board that serves a folder, and the folder."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-m", "khichdi.cli", "ui", "--port", "0", *words],
            cwd=folder, env={**os.environ, "KHICHDI_STORE": str(folder / "store")},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.process.communicate()[1]
        self.url = line.split()[0]

    def stop(self) -> None:
        """End it as a person does; it says nothing on its way out."""
        self.process.send_signal(signal.SIGINT)
        assert self.process.communicate(timeout=60)[1] == ""
        assert self.process.returncode == 0


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with two runs on hostile rows, a wrong recipe, and a run that failed."""
    folder = tmp_path_factory.mktemp("board")
    rows = [
        {"instruction": HOSTILE, "input": f"{n} " + "w " * n, "output": HOSTILE, "task": HOSTILE}
        for n in range(20)
    ]
    (folder / "one.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "hostile.yaml").write_text(HOSTILE_RECIPE)
    (folder / "wrong.yaml").write_text(WRONG)
    for below in (9, 5):
        settings = {"data.one.filters[max-words].below": below}
        khichdi.open_recipe(
            folder / "hostile.yaml", settings=settings, store=folder / "store"
        ).run()
    with pytest.raises(ValueError, match="alert"):
        khichdi.open_recipe(
            folder / "hostile.yaml", settings={"seed": 7}, store=folder / "store"
        ).run(Failing())
    return folder


class Failing(Observer):
    """Fails a run after its first new step, with a message that means harm."""

    def finished(self, step: RecordedStep) -> None:
        if step.status == "ran":
            raise ValueError(HOSTILE)


@pytest.fixture(scope="module")
def board(project: Path) -> Iterator[Board]:
    made = Board(project, "--write")
    yield made
    made.stop()


@pytest.fixture
def shown(chromium: Any) -> Iterator[Open]:
    """Return a function that shows a page of a board; nothing is wrong, or comes from elsewhere."""
    faults: list[str] = []
    pages: list[Any] = []

    def show(address: str, *, width: int = 1280, scheme: str = "light", **more: Any) -> Any:
        own = re.match(r"https?://[^/]+", address)
        assert own
        page = chromium.new_page(
            viewport={"width": width, "height": 900}, color_scheme=scheme, **more
        )
        page.on("console", lambda said: faults.append(f"console {said.type}: {said.text}"))
        page.on("pageerror", lambda error: faults.append(f"error: {error}"))
        page.on("dialog", lambda one: (faults.append(f"dialog: {one.message}"), one.accept()))
        page.on(
            "request",
            lambda asked: None if asked.url.startswith(own[0]) else faults.append(asked.url),
        )
        page.goto(address)
        pages.append(page)
        return page

    yield show
    for page in pages:
        page.close()
    assert not faults


def addresses(board: Board) -> list[str]:
    runs = sorted(path.name for path in (board.folder / "store" / "runs").iterdir())
    folder = board.folder / "store" / "runs"
    done = [run for run in runs if (folder / run / "record.json").is_file()]
    (failed,) = set(runs) - set(done)
    return [
        "/", f"/runs/{done[0]}", f"/runs/{failed}", f"/compare?run={done[0]}&run={done[1]}",
        "/recipes", "/recipes/own/wrong.yaml", "/recipes/shipped/quickstart.yaml",
        f"/diff?a={done[0]}&b={done[1]}", "/plugins", "/plugins/runtime/qlora",
    ]  # fmt: skip


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_every_page_fits_and_can_be_read_by_all(
    shown: Open, board: Board, width: int, scheme: str
) -> None:
    for address in addresses(board):
        check(shown(board.url + address, width=width, scheme=scheme))


@pytest.mark.nightly
@pytest.mark.slow
def test_every_page_fits_every_width_in_light_and_dark(shown: Open, board: Board) -> None:
    for address in addresses(board):
        for scheme in ("light", "dark"):
            for width in WIDTHS:
                check(shown(board.url + address, width=width, scheme=scheme))


def test_runs_are_chosen_and_compared_by_keyboard(shown: Open, board: Board) -> None:
    page = shown(board.url)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    for box in page.locator("input[type=checkbox]").all():
        box.focus()
        page.keyboard.press("Space")
    page.get_by_role("button", name="Compare chosen runs").focus()
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="2 runs side by side").wait_for()
    assert "data.one.filters[max-words].below" in page.locator("main").inner_text()


def test_a_run_is_tagged_found_by_its_tag_and_audited(shown: Open, board: Board) -> None:
    page = shown(board.url + addresses(board)[1])
    page.get_by_label("New tag").fill("best")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="best", exact=True).click()
    page.get_by_text("1 of 3 runs").wait_for()
    page.locator("tbody th a").first.click()
    page.get_by_role("button", name="Audit now").click()
    page.get_by_role("heading", name="Audit: identical").wait_for()
    check(page)
    page.get_by_role("button", name="Remove tag best").click()
    page.get_by_role("button", name="Remove tag best").wait_for(state="detached")


def test_a_report_opens_from_the_board_and_its_search_works(shown: Open, board: Board) -> None:
    page = shown(board.url + addresses(board)[1])
    page.get_by_role("link", name="Full report").click()
    page.locator("#drops .status").filter(has_text="rows, page 1").wait_for()
    page.get_by_label("Search").first.fill("no row has this")
    page.locator("#drops .status").filter(has_text=re.compile("^0 of")).wait_for()


def test_the_editor_checks_what_is_typed_and_saves_it(shown: Open, board: Board) -> None:
    page = shown(board.url + "/recipes/own/wrong.yaml")
    text = page.get_by_label("Text of the recipe")
    page.get_by_text("1 error", exact=True).wait_for()
    page.locator("button.place").first.press("Enter")
    assert page.evaluate(SELECTED) == "max-wordz"
    page.keyboard.type("max-words")
    page.get_by_text("Valid: nothing to report.").wait_for()
    assert page.locator("#state").inner_text() == "not saved"
    page.get_by_role("heading", name="What fits here").wait_for()
    text.press("End")
    page.keyboard.press("Enter")
    page.keyboard.type("s")
    page.locator("button.insert", has_text="sample").click()
    assert "\n    sample: " in text.input_value()
    lines = text.input_value().count("\n") + 1
    assert page.locator(".gutter").inner_text().split()[-1] == str(lines)
    page.keyboard.type("{use: all}")
    page.get_by_text("Valid: nothing to report.").wait_for()
    page.get_by_role("button", name="Estimate").click()
    page.locator("#estimate").get_by_text("data/one/sample").wait_for()
    check(page)
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Saved.").wait_for()
    assert "    sample: {use: all}\n" in (board.folder / "wrong.yaml").read_text()
    (board.folder / "wrong.yaml").write_text(WRONG)


def test_pages_work_without_scripts(shown: Open, board: Board) -> None:
    page = shown(board.url, java_script_enabled=False)
    page.get_by_label("Name or tag").fill("no such run")
    page.get_by_role("button", name="Show").click()
    page.get_by_text("No run fits.").wait_for()
    page.goto(board.url + "/recipes/own/wrong.yaml")
    assert "max-wordz" in page.locator("#found").inner_text()
    page.get_by_role("button", name="Estimate").click()
    assert "max-wordz" in page.locator("#estimate").inner_text()


# ---- a run in progress ------------------------------------------------------------------------


RUN = """
import sys, time, khichdi
from pathlib import Path
from khichdi.project.observer import Observer
class Held(Observer):
    def started(self, step):
        while step.name == "mixture" and not Path("go").exists():
            time.sleep(0.05)
khichdi.open_recipe("live.yaml", store="store").run(Held())
"""


def test_a_run_is_followed_from_its_first_step_to_its_end(shown: Open, tmp_path: Path) -> None:
    (tmp_path / "one.jsonl").write_text('{"instruction": "a", "input": "b", "output": "c"}\n' * 9)
    (tmp_path / "live.yaml").write_text(HOSTILE_RECIPE.replace("hostile", "live"))
    board = Board(tmp_path)
    page = shown(board.url)
    page.get_by_text("No runs yet.").wait_for()
    process = subprocess.Popen([sys.executable, "-c", RUN], cwd=tmp_path)
    try:
        page.get_by_role("link", name="1 new run: show").click(timeout=120_000)
        row = page.locator("tbody tr")
        row.get_by_text("mixture", exact=True).wait_for(timeout=60_000)
        assert "running" in row.inner_text()
        check(page)
        page.get_by_role("link", name="live", exact=True).click()
        page.locator("tr.running", has_text="mixture").wait_for()
        assert page.get_by_role("heading", level=1).inner_text().split() == ["live", "running"]
        check(page)
        (tmp_path / "go").touch()
        page.get_by_role("button", name="Audit now").wait_for(timeout=120_000)
        assert page.get_by_role("heading", level=1).inner_text().split() == ["live", "finished"]
    finally:
        (tmp_path / "go").touch()
        assert process.wait(120) == 0
    page.goto("about:blank")
    board.stop()


@pytest.mark.nightly
@pytest.mark.slow
def test_a_real_training_is_followed_with_its_loss(shown: Open, tmp_path: Path) -> None:
    board = Board(tmp_path)
    short = ["--set", "train.num_epochs=1", "-q"]
    command = [sys.executable, "-m", "khichdi.cli", "run", "quickstart", *short]
    environment = {**os.environ, "KHICHDI_STORE": str(tmp_path / "store")}
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL)
    try:
        page = shown(board.url)
        page.get_by_role("link", name="1 new run: show").click(timeout=120_000)
        page.get_by_role("link", name="quickstart", exact=True).click()
        page.locator(".chart svg").first.wait_for(timeout=300_000)
        assert page.locator(".tiles dt", has_text="loss").count() >= 1
        assert page.locator("progress").count() >= 1
        check(page)
        page.get_by_role("heading", name="Figures, as recorded").wait_for(timeout=600_000)
        assert "exact match" in page.locator("main").inner_text()
        check(page)
    finally:
        assert process.wait(600) == 0
    page.goto("about:blank")
    board.stop()
