"""The runs of a store, to list, sort and filter without reading every record.

Names have the minute of the start and the recipe, so the newest are listed from names alone, and
only the records of one page are read. Sorting by a figure needs all of them: they are read once, in
the background, and kept.
"""

from __future__ import annotations

import json
import math
import re
import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...runtime.journal import Watched, watch
from ...runtime.store.runs import RECORD, minute_of, run_names
from ...runtime.store.store import Store

PAGE = 50
"""Runs of a page."""
PATIENCE = 2.0
"""Seconds that a page waits for records that are still to be read, before it shows some."""
STARTED, NAME, SECONDS = "started", "name", "seconds"
METRIC = "metric:"
STATUSES = ("finished", "running", "failed", "interrupted", "unfinished")


@dataclass(frozen=True)
class Summary:
    """What a list says of a finished run, read from its record as it is, unchecked."""

    recipe: str
    recipe_hash: str
    result_hash: str
    started: str
    seconds: float
    metrics: Mapping[str, float]
    settings: Sequence[str]
    until: str | None

    @classmethod
    def read(cls, path: Path) -> Summary | None:
        """Return a record's summary, or None where it is not a record."""
        try:
            record: Any = json.loads(path.read_bytes())
            return cls(
                recipe=str(record["recipe"]),
                recipe_hash=str(record["recipe_hash"]),
                result_hash=str(record["result_hash"]),
                started=str(record["started"]),
                seconds=float(record["seconds"]),
                metrics={str(k): float(v) for k, v in dict(record["metrics"]).items()},
                settings=[str(one) for one in record.get("settings", ())],
                until=None if record.get("until") is None else str(record["until"]),
            )
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None


@dataclass(frozen=True)
class Entry:
    """A run of a list: its summary where it finished, else its journal, if it has one."""

    name: str
    summary: Summary | None
    watched: Watched | None
    tags: Sequence[str] = ()

    @property
    def status(self) -> str:
        """One of `STATUSES`."""
        if self.summary is not None:
            return "finished"
        return self.watched.status if self.watched else "unfinished"


@dataclass(frozen=True)
class Query:
    """Which runs a list has.

    Attributes:
        text: only those whose name, or one of whose tags, has all of these words.
        tag: only those with this tag.
        status: only those of this status.
        sort: `started`, `name`, `seconds`, or `metric:` and a metric.
        ascending: whether the smallest, or the oldest, comes first.
        page: the page, from 1.
    """

    text: str = ""
    tag: str = ""
    status: str = ""
    sort: str = STARTED
    ascending: bool = False
    page: int = 1


@dataclass(frozen=True)
class Listing:
    """A page of runs.

    Attributes:
        entries: the runs.
        total: how many fit the query.
        all: how many the store has.
        page: the page, from 1.
        pages: how many there are.
        unread: records that a sort by a figure could not wait for: those runs come last.
    """

    entries: Sequence[Entry]
    total: int
    all: int
    page: int
    pages: int
    unread: int


@dataclass
class RunsIndex:
    """The runs of a store; what was read of a finished run is kept, as records do not change."""

    store: Store
    _kept: dict[str, Summary] = field(default_factory=dict)
    _reading: threading.Lock = field(default_factory=threading.Lock)
    _read: threading.Event = field(default_factory=threading.Event)

    def listing(self, query: Query, tags: Mapping[str, Sequence[str]]) -> Listing:
        """Return a page of the runs that fit a query; `tags` are by run."""
        every = run_names(self.store)
        names = [name for name in every if _fits(name, query, tags)]
        if query.status:
            names = [name for name in names if self._status(name) == query.status]
        pages = max(1, math.ceil(len(names) / PAGE))
        page = min(max(1, query.page), pages)
        chosen, unread = self._page(names, query, (page - 1) * PAGE)
        entries = [self.entry(name, tags.get(name, ())) for name in chosen]
        return Listing(entries, len(names), len(every), page, pages, unread)

    def entry(self, name: str, tags: Sequence[str] = ()) -> Entry:
        """Return a run."""
        summary = self.summary(name)
        return Entry(name, summary, None if summary else watch(self.store.runs / name), tags)

    def summary(self, name: str) -> Summary | None:
        """Return what its record says, or None where it has none that can be read."""
        found = self._kept.get(name)
        if found is None:
            found = Summary.read(self.store.runs / name / RECORD)
            if found is not None:
                self._kept[name] = found
        return found

    def metrics(self) -> list[str]:
        """Return the metrics of the records that were read, the most frequent first."""
        counts: dict[str, int] = {}
        for summary in list(self._kept.values()):
            for name in summary.metrics:
                counts[name] = counts.get(name, 0) + 1
        return sorted(counts, key=lambda name: (-counts[name], name))

    def count(self) -> int:
        """Return how many runs the store has."""
        return len(run_names(self.store))

    def _status(self, name: str) -> str:
        if name in self._kept or (self.store.runs / name / RECORD).is_file():
            return "finished"
        found = watch(self.store.runs / name)
        return found.status if found else "unfinished"

    # ---- order ------------------------------------------------------------------------------

    def _page(self, names: Collection[str], query: Query, start: int) -> tuple[list[str], int]:
        """Return the names of a page, and how many records were not read for it."""
        if query.sort == NAME:
            ordered = sorted(names, key=_recipe_order, reverse=not query.ascending)
            return ordered[start : start + PAGE], 0
        if query.sort == SECONDS or query.sort.startswith(METRIC):
            return self._by_figure(names, query, start)
        return self._by_start(names, start, query.ascending), 0

    def _by_start(self, names: Iterable[str], start: int, ascending: bool) -> list[str]:
        """Return a page by start; within a minute the records decide, and no others are read."""
        minutes: dict[str, list[str]] = {}
        for name in names:
            minutes.setdefault(self._minute(name), []).append(name)
        found: list[str] = []
        for minute in sorted(minutes, reverse=not ascending):
            group = minutes[minute]
            if len(group) <= start:
                start -= len(group)
                continue
            if len(group) > 1:
                group.sort(key=self._second, reverse=not ascending)
            found += group[start:]
            start = 0
            if len(found) >= PAGE:
                break
        return found[:PAGE]

    def _minute(self, name: str) -> str:
        minute = minute_of(name)
        if minute:
            return minute
        summary = self.summary(name)  # a folder with another name: its record says when it was
        started = re.sub(r"[T:]", "", summary.started[:16]) if summary else ""
        return f"{started[:10]}-{started[10:]}Z" if started else ""

    def _second(self, name: str) -> tuple[str, int, str]:
        summary = self.summary(name)
        number = re.search(r"-(\d+)$", name)
        return summary.started if summary else "~", int(number[1]) if number else 1, name

    def _by_figure(self, names: Iterable[str], query: Query, start: int) -> tuple[list[str], int]:
        """Return a page by a figure; runs without it come last, the newest first."""
        self.read_all()
        self._read.wait(PATIENCE)
        having: list[tuple[float, str]] = []
        without: list[str] = []
        unread = 0
        for name in sorted(names, reverse=True):
            summary = self._kept.get(name)
            unread += summary is None and not self._read.is_set()
            value = _figure(summary, query.sort) if summary else None
            if value is None:
                without.append(name)
            else:
                having.append((value, name))
        having.sort(key=lambda one: one[0], reverse=not query.ascending)
        ordered = [*(name for _, name in having), *without]
        return ordered[start : start + PAGE], unread

    def read_all(self) -> None:
        """Read what is not read yet, in the background; `_read` is set when all is."""
        waiting = [name for name in run_names(self.store) if name not in self._kept]
        if not waiting:
            self._read.set()
        elif self._reading.acquire(blocking=False):
            self._read.clear()
            thread = threading.Thread(target=self._read_these, args=(waiting,), daemon=True)
            thread.start()

    def _read_these(self, names: list[str]) -> None:
        try:
            for name in sorted(names, reverse=True):
                self.summary(name)
        finally:
            self._read.set()
            self._reading.release()


def _fits(name: str, query: Query, tags: Mapping[str, Sequence[str]]) -> bool:
    own = tags.get(name, ())
    if query.tag and query.tag not in own:
        return False
    among = " ".join([name, *own]).casefold()
    return all(word in among for word in query.text.casefold().split())


def _figure(summary: Summary, sort: str) -> float | None:
    value = summary.seconds if sort == SECONDS else summary.metrics.get(sort.removeprefix(METRIC))
    return None if value is None or math.isnan(value) else value


def _recipe_order(name: str) -> tuple[str, str]:
    """Order by recipe, then by start."""
    minute = minute_of(name)
    return (name[len(minute) + 1 :] if minute else name), minute
