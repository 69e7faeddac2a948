"""Pages about runs: the list, one run, several side by side, a report, an audit, tags."""

from __future__ import annotations

import threading
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from ...runtime.report.page import page_policy
from ...schema.errors import InputError
from ..project import audit
from ..report import compare_runs_page, report_run
from ..run_lookup import exact_run, open_run
from .compare_view import compare_view
from .pages import Board, Form, NotHereError
from .run_view import finished_view, outcome, watched_view
from .runs_index import METRIC, STARTED, STATUSES, Entry, Query
from .tags import add_tag, read_tags, remove_tag

COLUMNS = 2
"""Metrics with a column of their own."""
STOP_POLLING = 286
"""htmx's status for an answer after which it does not ask again."""
MARKS = {
    "running": "running",
    "finished": "finished",
    "failed": "failed",
    "interrupted": "interrupted",
    "unfinished": "did not finish",
}


class RunPages:
    """Answers about runs."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self._auditing = threading.Lock()

    # ---- the list -----------------------------------------------------------------------------

    def list(self, request: Request) -> Response:
        """Show the runs of the store, a page at a time."""
        board, asked = self.board, request.query_params
        query = Query(
            text=asked.get("q", "").strip()[:200],
            tag=asked.get("tag", "")[:40],
            status=asked.get("status", "") if asked.get("status") in STATUSES else "",
            sort=asked.get("sort", STARTED)[:200] or STARTED,
            ascending=asked.get("order") == "up",
            page=_number(asked.get("page", "1")),
        )
        tags = read_tags(board.store)
        listing = board.index.listing(query, tags)
        named = board.index.metrics()
        shown = [name for name in named if f"{name}_before" in named and name[-5:] != ".rows"]
        return board.page(
            "runs.html",
            listing=listing,
            query=query,
            entries=[_row(entry) for entry in listing.entries],
            metrics=named,
            columns=shown[:COLUMNS],
            tags=sorted({tag for own in tags.values() for tag in own}),
            statuses=STATUSES,
            link=_Links(query),
        )

    def row(self, request: Request) -> Response:
        """Show one run of the list again, while it runs."""
        entry = self._entry(request)
        row = _row(entry)
        named = self.board.index.metrics()
        shown = [name for name in named if f"{name}_before" in named and name[-5:] != ".rows"]
        return self.board.page("run_row.html", one=row, columns=shown[:COLUMNS])

    def news(self, request: Request) -> Response:
        """Say how many runs there are that the list does not have."""
        more = self.board.index.count() - _number(request.query_params.get("seen", "0"))
        return self.board.page("news.html", more=more)

    # ---- one run ------------------------------------------------------------------------------

    def one(self, request: Request) -> Response:
        """Show a run."""
        entry = self._entry(request)
        return self.board.page("run.html", **self._shown(entry), report=None)

    def live(self, request: Request) -> Response:
        """Show how far a run is; once it does not run any more, have the whole page loaded."""
        entry = self._entry(request)
        if entry.status != "running":
            return Response(status_code=STOP_POLLING, headers={"hx-refresh": "true"})
        return self.board.page("run_live.html", **self._shown(entry))

    def report(self, request: Request) -> Response:
        """Show the report of a run, as `recipe report` writes it."""
        entry = self._entry(request)
        if entry.summary is None:
            raise NotHereError(f"run {entry.name} has not finished: there is nothing to report")
        _, text = report_run(self.board.store.runs / entry.name, store=self.board.store.root)
        return _own_policy(text)

    def audit(self, request: Request, _: Form) -> Response:
        """Audit a run: documents and bytes are compared; nothing is executed, nothing written."""
        entry = self._entry(request)
        if not self._auditing.acquire(blocking=False):
            raise InputError("an audit is going on", hint="one at a time: try again when it ends")
        try:
            report = audit(self.board.store.runs / entry.name, store=self.board.store.root)
        finally:
            self._auditing.release()
        if "hx-request" in request.headers:
            return self.board.page("audit_part.html", report=report, entry=entry)
        return self.board.page("run.html", **self._shown(entry), report=report)

    # ---- several ------------------------------------------------------------------------------

    def compare(self, request: Request) -> Response:
        """Show several runs side by side."""
        names = list(dict.fromkeys(request.query_params.getlist("run")))
        runs = [open_run(self._folder(name), store=self.board.store.root) for name in names[:20]]
        view = compare_view(runs)
        return self.board.page("compare_runs.html", view=view, names=names)

    def compare_report(self, request: Request) -> Response:
        """Show the comparison of two runs, as `recipe report A B` writes it."""
        names = request.query_params.getlist("run")
        if len(names) != 2:
            raise InputError(f"{len(names)} runs are chosen", hint="this page is of two")
        one, other = (self._folder(name) for name in names)
        *_, text = compare_runs_page(one, other, store=self.board.store.root)
        return _own_policy(text)

    # ---- tags ---------------------------------------------------------------------------------

    def tag(self, request: Request, form: Form) -> Response:
        """Add a tag to a run, or remove one."""
        self.board.refuse_writing()
        entry = self._entry(request)
        if "remove" in form:
            remove_tag(self.board.store, entry.name, form["remove"])
        else:
            add_tag(self.board.store, entry.name, form.get("add", ""))
        return RedirectResponse(f"/runs/{entry.name}", 303)

    # ---- finding ------------------------------------------------------------------------------

    def _entry(self, request: Request) -> Entry:
        name = request.path_params["name"]
        self._folder(name)
        return self.board.index.entry(name, read_tags(self.board.store).get(name, ()))

    def _folder(self, name: str) -> Any:
        """Return the folder of a run of the store, finished or not; nothing else has one."""
        inside = name not in ("", ".", "..") and "/" not in name and "\0" not in name
        if not inside or not (self.board.store.runs / name).is_dir():
            raise NotHereError(f"there is no run {name[:80]} in {self.board.store.root}")
        return self.board.store.runs / name

    def _shown(self, entry: Entry) -> dict[str, Any]:
        view = None
        if entry.summary is not None:
            folder = exact_run(self.board.store, entry.name)
            view = finished_view(open_run(folder or entry.name, store=self.board.store.root))
        elif entry.watched is not None:
            view = watched_view(entry.watched)
        return {"entry": entry, "view": view, "words": MARKS[entry.status]}


class _Links:
    """Addresses of the list with one thing changed."""

    def __init__(self, query: Query) -> None:
        self.query = query

    def __call__(self, **changed: Any) -> str:
        query = self.query
        values = {
            "q": query.text, "tag": query.tag, "status": query.status, "sort": query.sort,
            "order": "up" if query.ascending else "", "page": "", **changed,
        }  # fmt: skip
        if values["sort"] == STARTED:
            values["sort"] = ""
        kept = {name: value for name, value in values.items() if value != ""}
        return f"/?{urlencode(kept)}" if kept else "/"

    def sort(self, key: str) -> str:
        """Return the list sorted by a key; the other way round where it is sorted so already."""
        again = self.query.sort == key and not self.query.ascending
        return self(sort=key, order="up" if again else "")

    def order(self, key: str) -> str:
        """Return how a column is sorted, as `aria-sort` says it."""
        if self.query.sort != key:
            return "none"
        return "ascending" if self.query.ascending else "descending"

    def metric(self, name: str) -> str:
        """Return the key of a sort by a metric."""
        return METRIC + name


def _row(entry: Entry) -> dict[str, Any]:
    """Return what a line of the list shows."""
    summary, found = entry.summary, entry.watched
    recipe = summary.recipe if summary else found.recipe if found else ""
    return {
        "entry": entry,
        "words": MARKS[entry.status],
        "recipe": recipe or entry.name,
        "started": (summary.started if summary else found.started if found else ""),
        "outcome": outcome(summary.metrics) if summary else [],
        "settings": " ".join(summary.settings) if summary else "",
        "current": found.current if found else None,
    }


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 1


def _own_policy(text: str) -> Response:
    """Return a self-contained page, held to its own policy instead of the board's."""
    policy = f"{page_policy(text)}; frame-ancestors 'none'"
    return HTMLResponse(text, headers={"content-security-policy": policy})
