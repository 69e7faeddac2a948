"""The parts of a report page: charts, flows, rows to browse, and the frame around them."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from typing import Any

import pytest

from khichdi.runtime.report import browsing, charts
from khichdi.runtime.report.browsing import browser
from khichdi.runtime.report.charts import POINTS, Curve, bars, curves
from khichdi.runtime.report.page import render
from khichdi.runtime.report.sankey import TALL, Link, sankey
from khichdi.schema.audit import AuditReport, LevelReport

HOSTILE = "</script><script>alert(1)</script>\x1b[2J\u202e<img src=x onerror=alert(2)>"
DIGEST = "sha256:" + "0" * 64


def unpacked(packed: str) -> Any:
    return json.loads(gzip.decompress(base64.b64decode(packed)))


# ---- charts ---------------------------------------------------------------------------------


def loss(count: int = 5) -> charts.Chart:
    points = [(float(step), 1 / step) for step in range(1, count + 1)]
    held = Curve("validation", [(2.0, 0.6)], sparse=True)
    mark = (2.0, "best, step 2")
    return curves(
        "loss", "Loss", [Curve("training", points), held], across="step", up="loss", mark=mark
    )


def test_a_chart_has_the_colors_of_the_page_and_none_of_its_own() -> None:
    svg = str(loss().svg)
    assert "var(--c1)" in svg
    assert "var(--c2)" in svg
    assert not set(re.findall(r"#[0-9a-f]{6}\b", svg)), "a fixed color does not follow dark mode"


def test_a_chart_says_in_words_what_it_shows() -> None:
    svg = str(loss().svg)
    assert 'role="img"' in svg
    assert '<title id="loss-title">Loss</title>' in svg
    for name in ("training", "validation", "best, step 2"):
        assert f">{name}<" in svg, "labels are text, which a screen reader and a search find"
    assert loss().head == ["step", "training", "validation"]
    assert loss().rows[1] == ["2", "0.5", "0.6"]


def test_the_ids_of_two_charts_do_not_meet() -> None:
    one = curves("one", "One", [Curve("a", [(1, 1), (2, 2)])], across="x", up="y")
    two = curves("two", "Two", [Curve("a", [(1, 1), (2, 2)])], across="x", up="y")
    ids = [set(re.findall(r' id="([^"]+)"', str(chart.svg))) for chart in (one, two)]
    assert ids[0]
    assert not ids[0] & ids[1]
    for chart, own in zip((one, two), ids, strict=True):
        used = re.findall(r"(?:url\(#|href=\"#)([^)\"]+)", str(chart.svg))
        assert set(used) <= own, "what is referred to is there"


def test_a_long_training_is_drawn_by_means_and_its_table_has_both_ends() -> None:
    found = loss(5_000)
    assert len(str(found.svg)) < 60_000
    assert found.rows[0][0] == "1"
    assert found.rows[-1][0] == "5,000"
    assert len(found.rows) <= charts.TABLE + 1
    assert "0.6" in [row[2] for row in found.rows], "no evaluation is left out of the table"
    thin = charts._thinned([(float(x), 1.0) for x in range(5_000)])
    assert len(thin) <= POINTS
    assert all(y == 1.0 for _, y in thin)


def test_the_last_bar_is_open_in_words_too() -> None:
    found = bars("b", "Lengths", [(0, 5, 3), (5, 400, 1)], across="words", up="rows")
    assert [list(row) for row in found.rows] == [["0 to 4", "3"], ["5 to 399", "1"]]


# ---- flows ----------------------------------------------------------------------------------


def test_bands_are_as_wide_as_the_rows_that_they_stand_for() -> None:
    links = [
        Link("a", "mixture", 60, False, 0),
        Link("a", "short", 40, True, 0),
        Link("mixture", "training", 45, False, 1),
        Link("mixture", "validation", 15, False, 1),
    ]
    svg = str(sankey("flow", "Rows", links))
    assert svg.count("<path") == len(links)
    heights = {
        name: float(height)
        for height, name in re.findall(r'height="([\d.]+)" rx="2".*?<title>(\w+)</title>', svg)
    }
    assert heights["a"] == TALL
    assert heights["mixture"] == pytest.approx(TALL * 0.6, abs=0.1)
    assert heights["short"] == pytest.approx(TALL * 0.4, abs=0.1)
    assert heights["training"] + heights["validation"] == pytest.approx(TALL * 0.6, abs=0.2)
    assert "a to short: 40 rows" in svg


def test_bands_leave_and_enter_in_the_order_of_the_nodes_that_they_join() -> None:
    links = [
        Link("small", "mixture", 10, False, 0),
        Link("large", "dropped", 20, True, 0),
        Link("large", "mixture", 70, False, 0),
    ]
    svg = str(sankey("flow", "Rows", links))
    titles = re.findall(r"<title>([^<]*rows)</title>", svg)
    assert titles == [
        "large to mixture: 70 rows",
        "large to dropped: 20 rows",
        "small to mixture: 10 rows",
    ]


def test_names_in_a_flow_are_shown_not_run() -> None:
    svg = str(sankey("flow", "Rows", [Link(HOSTILE, "b", 1, False, 0)]))
    assert "<script" not in svg
    assert "<img" not in svg
    assert "\x1b" not in svg
    assert "\u202e" not in svg


def test_no_rows_give_no_drawing() -> None:
    assert sankey("flow", "Rows", [Link("a", "b", 0, False, 0)]) is None


# ---- rows to browse -------------------------------------------------------------------------


def test_rows_come_out_as_they_went_in_but_for_what_acts() -> None:
    found = browser("p", ["Asked"], [("a/f#1", ["right"], [HOSTILE])], 1, "predictions")
    (row,) = unpacked(found.packed)["rows"]
    assert row[0] == "a/f#1"
    assert row[1] == ["right"]
    assert row[2] == [HOSTILE.replace("\x1b", "\\x1b").replace("\u202e", "\\u202e")]
    assert found.note == "All 1 predictions; texts are shown up to 600 characters."
    assert re.fullmatch(r"[A-Za-z0-9+/=]*", found.packed)


def test_a_long_text_says_how_much_of_it_is_not_shown() -> None:
    found = browser("p", ["Asked"], [("a", [], ["x" * 1_000])], 1, "rows")
    text = unpacked(found.packed)["rows"][0][2][0]
    assert text == "x" * 600 + " … 400 more"


def test_secrets_are_masked_in_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_TOKEN", "a-very-secret-value-1234")
    found = browser("p", ["Asked"], [("a", [], ["it is a-very-secret-value-1234"])], 1, "rows")
    assert "secret-value" not in json.dumps(unpacked(found.packed))
    assert "secret-value" not in str(found.first)


def test_too_many_rows_are_drawn_by_their_ids_and_the_page_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(browsing, "BUDGET", 20_000)
    items: list[browsing.Item] = [
        (f"r{at}", [], [hashlib.sha256(str(at).encode()).hexdigest()]) for at in range(2_000)
    ]
    found = browser("p", ["Text"], items, 2_000, "rows")
    kept = [row[0] for row in unpacked(found.packed)["rows"]]
    assert len(found.packed) <= 20_000
    assert 100 < len(kept) < 2_000
    assert found.note.startswith(f"{len(kept):,} of 2,000 rows")
    assert kept == sorted(kept, key=lambda name: int(name[1:])), "the order is kept"
    assert found == browser("p", ["Text"], items, 2_000, "rows"), "the same rows every time"


# ---- the frame ------------------------------------------------------------------------------


def audit_page(detail: str, *, script: bool) -> str:
    level = LevelReport(level="recipe", verdict="identical", basis="derived", detail=detail)
    report = AuditReport(
        subject="s",
        recipe="r",
        recipe_hash=DIGEST,
        result_hash=DIGEST,
        verdict="identical",
        levels=(level,),
    )
    return render(
        "audit.html",
        script=script,
        report=report,
        facts=[("run", detail, False)],
        hashes=[],
        closing=[detail],
        first="",
        findings=[],
        more=0,
        replays=[],
        claimed=[],
        following=[],
        glossary=[],
    )


def test_only_the_script_that_a_page_came_with_may_run() -> None:
    page = audit_page("fine", script=True)
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy
    assert f"script-src &#39;sha256-{digest}&#39;" in policy[1]
    assert policy[1].startswith("default-src &#39;none&#39;")
    without = audit_page("fine", script=False)
    assert "<script" not in without
    assert "script-src &#39;none&#39;" in without


def test_what_a_run_says_is_escaped_wherever_it_stands() -> None:
    page = audit_page(HOSTILE, script=False)
    assert "<script" not in page
    assert "<img" not in page
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert page.count("&lt;script&gt;alert(1)") == 3


def test_a_secret_of_this_shell_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_TOKEN", "a-very-secret-value-1234")
    assert "a-very-secret" not in audit_page("it is a-very-secret-value-1234", script=False)


@pytest.mark.parametrize("word", ["http://", "https://", "@import", "url(http", "src="])
def test_a_page_names_nothing_to_load(word: str) -> None:
    assert word not in audit_page("fine", script=True)
