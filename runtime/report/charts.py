"""Curves and bars as SVG, drawn by matplotlib, in the colors of the page they stand in.

Colors are drawn as stand-ins and become the page's own, so that a chart follows its light and dark
style. Each chart comes with its figures as a table, which says the same without it.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

WIDTH, HEIGHT = 4.6, 2.7
"""Inches at which a chart is drawn: about as wide as a phone, where its text is legible then."""
POINTS = 700
"""Points of a curve, at most; of more, the mean of neighbors is drawn."""
TABLE = 60
"""Rows of a chart's table, at most."""
STAND_INS = {
    "#a00001": "var(--c1)",
    "#a00002": "var(--c2)",
    "#a00003": "var(--c3)",
    "#a0000a": "var(--soft)",
    "#a0000b": "var(--line)",
}
COLORS = ("#a00001", "#a00002", "#a00003")
DASHES = ("-", "--", ":")
"""Of the first three curves, of the next three, and so on: no two of nine look the same."""
SOFT, LINE = "#a0000a", "#a0000b"
MISSING = (
    "matplotlib is not installed, so figures are shown as tables alone: "
    "pip install 'khichdi[report]'"
)

Point = tuple[float, float]


@dataclass(frozen=True)
class Curve:
    """A curve by its points; one that is sparse, such as of evaluations, is drawn with marks."""

    label: str
    points: Sequence[Point]
    sparse: bool = False


@dataclass(frozen=True)
class Chart:
    """A chart: SVG, or None where matplotlib is not installed, and its figures as a table."""

    title: str
    svg: Any
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    wide: bool = False


def curves(
    name: str,
    title: str,
    found: Sequence[Curve],
    *,
    across: str,
    up: str,
    mark: tuple[float, str] | None = None,
    log: bool = False,
) -> Chart:
    """Draw curves over a common axis.

    Args:
        name: unique in the page, such as `loss`.
        title: the chart in words.
        found: the curves.
        across: the words below.
        up: the words beside.
        mark: a place across that a line marks, and its label.
        log: whether to draw powers of ten.
    """
    head = [across, *(curve.label for curve in found)]
    rows = list(_rows(found))

    def draw(axes: Any) -> None:
        for number, curve in enumerate(found):
            points = _thinned(curve.points)
            style: dict[str, Any] = {"linestyle": DASHES[number // 3 % 3]}
            if curve.sparse:
                style = {"marker": "o", "markersize": 3.5, "linestyle": "--"}
            axes.plot(*zip(*points, strict=True), color=COLORS[number % 3], label=curve.label,
                      linewidth=1.5, **style)  # fmt: skip
        if mark is not None:
            axes.axvline(mark[0], color=SOFT, linewidth=1.2, linestyle=":", label=mark[1])
        if log:
            axes.set_yscale("log")
        if len(found) + (mark is not None) > 1:
            axes.legend(frameon=False, fontsize=8, labelcolor=SOFT)

    drawable = [curve for curve in found if curve.points]
    svg = _drawn(name, title, rows, draw, across, up) if drawable else None
    return Chart(title, svg, head, rows)


def bars(
    name: str, title: str, bins: Sequence[tuple[int, int, int]], *, across: str, up: str
) -> Chart:
    """Draw a histogram; each bar is (from, up to and excluded, how many).

    The last bar, which may be far wider, is drawn as wide as the others and labeled as open.
    """
    spans = [f"{a:,}" if b - a == 1 else f"{a:,} to {b - 1:,}" for a, b, _ in bins]
    rows = [[span, f"{count:,}"] for span, (_, _, count) in zip(spans, bins, strict=True)]

    def draw(axes: Any) -> None:
        axes.bar(range(len(bins)), [count for *_, count in bins], color=COLORS[0], width=0.88)
        step = max(1, len(bins) // 6)
        places = list(range(0, len(bins), step))
        axes.set_xticks(places, [f"{bins[at][0]:,}" for at in places])

    svg = _drawn(name, title, rows, draw, across, up) if bins else None
    return Chart(title, svg, [across, up], rows)


def _rows(found: Sequence[Curve]) -> Iterator[list[str]]:
    """Yield the figures of curves by their places; of many, places spread evenly, and the ends."""
    places = sorted({place for curve in found for place, _ in curve.points})
    sparse = {place for curve in found if curve.sparse for place, _ in curve.points}
    if len(places) > TABLE:
        chosen = {places[at * (len(places) - 1) // (TABLE - 1)] for at in range(TABLE)}
        places = [place for place in places if place in chosen or place in sparse]
    values = [dict(curve.points) for curve in found]
    for place in places:
        cells = [figure(one[place]) if place in one else "" for one in values]
        yield [figure(place), *cells]


def figure(value: float, sign: str = "") -> str:
    """Return a number as people read it: a whole one with its thousands; `+` shows every sign."""
    whole = value == int(value) and abs(value) < 1e15
    return f"{value:{sign},.0f}" if whole else f"{value:{sign}.4g}"


def _thinned(points: Sequence[Point]) -> Sequence[Point]:
    """Return at most `POINTS` points, each the mean of its neighbors."""
    if len(points) <= POINTS:
        return points
    size = -(-len(points) // POINTS)
    groups = [points[at : at + size] for at in range(0, len(points), size)]
    return [
        (sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group))
        for group in groups
    ]


def _drawn(name: str, title: str, rows: Any, draw: Any, across: str, up: str) -> Any:
    """Return the SVG of a chart, or None where matplotlib is not installed."""
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        return None
    options = {"svg.fonttype": "none", "svg.hashsalt": name, "font.size": 8.5}
    with rc_context(options):
        drawing = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
        axes = drawing.subplots()
        draw(axes)
        axes.set_xlabel(across, color=SOFT)
        axes.set_ylabel(up, color=SOFT)
        axes.tick_params(colors=SOFT)
        axes.grid(axis="y", color=LINE, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.patch.set_visible(False)
        for side, spine in axes.spines.items():
            spine.set_visible(side == "bottom")
            spine.set_color(LINE)
        target = io.StringIO()
        drawing.savefig(target, format="svg", transparent=True, metadata={"Date": None})
    said = f"{title}. {len(rows)} figures, in the table below."
    return inlined(target.getvalue(), name, title, said)


def inlined(svg: str, name: str, title: str, said: str) -> Any:
    """Return an SVG file as an element of a page: its own ids, the page's colors, and its words."""
    from markupsafe import Markup

    body = svg[svg.index("<svg") : svg.rindex("</svg>")]
    body = body[body.index(">") + 1 :]
    body = re.sub(r"<(metadata|style)\b.*?</\1>", "", body, flags=re.DOTALL)
    body = re.sub(r' style="([^"]*)"', _attributes, body)
    used = set(re.findall(r"(?:url\(#|href=\"#)([^)\"]+)", body))
    body = re.sub(r' id="([^"]*)"', lambda at: at[0] if at[1] in used else "", body)
    for one in used:
        body = body.replace(f'"{one}"', f'"{name}-{one}"').replace(f"#{one}", f"#{name}-{one}")
    for stand_in, color in STAND_INS.items():
        body = body.replace(stand_in, color)
    box = re.search(r'viewBox="([^"]+)"', svg)
    assert box is not None
    head = (
        f'<svg viewBox="{box[1]}" role="img" aria-labelledby="{name}-title {name}-said">'
        f'<title id="{name}-title">{escape(title)}</title>'
        f'<desc id="{name}-said">{escape(said)}</desc>'
    )
    return Markup(f"{head}{body}</svg>")


def _attributes(style: re.Match[str]) -> str:
    """Return a style as attributes of its element: a page may forbid styles of elements.

    The font is the page's own.
    """
    pairs = (one.partition(":") for one in style[1].split(";") if one.strip())
    return "".join(
        f' {name.strip()}="{value.strip()}"'
        for name, _, value in pairs
        if name.strip() not in ("font", "font-family")
    )
