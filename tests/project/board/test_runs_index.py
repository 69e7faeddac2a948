"""Runs are listed, sorted and filtered, and few records are read for it."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from journals import write_journal

from khichdi.project.board import runs_index
from khichdi.project.board.runs_index import PAGE, Query, RunsIndex, Summary
from khichdi.project.board.tags import MOST, add_tag, read_tags, remove_tag
from khichdi.runtime.store.store import Store
from khichdi.schema.errors import InputError

RECORD: dict[str, Any] = {
    "recipe": "small", "recipe_hash": "sha256:" + "a" * 64, "result_hash": "sha256:" + "b" * 64,
    "started": "2026-07-01T12:00:00+00:00", "seconds": 3.0, "metrics": {"eval_loss": 1.0},
    "settings": [], "until": None,
}  # fmt: skip


def add_run(store: Store, name: str, **changes: Any) -> Path:
    folder = store.runs / name
    folder.mkdir(parents=True)
    (folder / "record.json").write_text(json.dumps({**RECORD, **changes}))
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def names(store: Store, **query: Any) -> list[str]:
    listing = RunsIndex(store).listing(Query(**query), read_tags(store))
    return [entry.name for entry in listing.entries]


def test_10_000_runs_are_paged_and_only_the_records_of_a_page_are_read(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = add_run(store, "2026-01-01-0000Z-r0")
    for number in range(1, 10_000):
        folder = store.runs / f"2026-01-{1 + number // 500:02}-{number % 500:04}Z-r{number}"
        folder.mkdir()
        os.link(first / "record.json", folder / "record.json")
    read: list[Path] = []
    real = Summary.read

    def counted(path: Path) -> Summary | None:
        read.append(path)
        return real(path)

    monkeypatch.setattr(Summary, "read", counted)
    index = RunsIndex(store)
    begin = time.process_time()  # a busy machine makes nothing slower by it
    listing = index.listing(Query(page=100), {})
    took = time.process_time() - begin
    assert (listing.total, listing.pages, len(listing.entries)) == (10_000, 200, PAGE)
    assert listing.entries[0].name.startswith("2026-01-11-0049Z")
    assert len(read) == PAGE
    assert took < 1  # 0.09 s
    again = index.listing(Query(page=100), {})
    assert [one.name for one in again.entries] == [one.name for one in listing.entries]
    assert len(read) == PAGE
    assert index.listing(Query(text="r9999"), {}).total == 1
    assert len(read) == PAGE + 1


def test_the_newest_come_first_within_a_minute_too(store: Store) -> None:
    minute = "2026-07-01-1200Z"
    add_run(store, f"{minute}-b", started="2026-07-01T12:00:10+00:00")
    add_run(store, f"{minute}-a", started="2026-07-01T12:00:30+00:00")
    add_run(store, f"{minute}-a-2", started="2026-07-01T12:00:30+00:00")
    add_run(store, "2026-06-01-1200Z-c", started="2026-06-01T12:00:00+00:00")
    add_run(store, "renamed", started="2026-06-15T12:00:00+00:00")
    expected = [f"{minute}-a-2", f"{minute}-a", f"{minute}-b", "renamed", "2026-06-01-1200Z-c"]
    assert names(store) == expected
    assert names(store, ascending=True) == expected[::-1]


def test_a_sort_by_a_figure_puts_runs_without_it_last(store: Store) -> None:
    for number, loss in enumerate([0.5, 0.25, None, 0.75, float("nan")]):
        metrics = {} if loss is None else {"eval_loss": loss}
        add_run(store, f"2026-07-01-120{number}Z-r{number}", metrics=metrics, seconds=number)
    by_loss = [name[-2:] for name in names(store, sort="metric:eval_loss", ascending=True)]
    assert by_loss == ["r1", "r0", "r3", "r4", "r2"]
    assert [name[-2:] for name in names(store, sort="metric:eval_loss")][:3] == ["r3", "r0", "r1"]
    assert [name[-2:] for name in names(store, sort="seconds")] == ["r4", "r3", "r2", "r1", "r0"]
    assert [name[-2:] for name in names(store, sort="name")] == ["r4", "r3", "r2", "r1", "r0"]


def test_records_that_are_still_being_read_are_said_to_be(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        add_run(store, f"2026-07-01-12{number:02}Z-r", metrics={"eval_loss": float(number)})
    monkeypatch.setattr(runs_index, "PATIENCE", 0.0)
    real = Summary.read

    def slow(path: Path) -> Summary | None:
        time.sleep(0.01)
        return real(path)

    monkeypatch.setattr(Summary, "read", slow)
    index = RunsIndex(store)
    query = Query(sort="metric:eval_loss")
    listing = index.listing(query, {})
    assert listing.unread > 0
    assert len(listing.entries) == 20
    until = time.monotonic() + 20
    while index.listing(query, {}).unread and time.monotonic() < until:
        time.sleep(0.02)
    done = index.listing(query, {})
    assert done.unread == 0
    assert [entry.name[13:15] for entry in done.entries][:2] == ["19", "18"]
    assert index.metrics() == ["eval_loss"]


def test_runs_that_did_not_finish_are_listed_and_chosen_by_status(store: Store) -> None:
    add_run(store, "2026-07-01-1200Z-done")
    (store.runs / "2026-07-01-1201Z-gone").mkdir()
    write_journal(store.runs / "2026-07-01-1202Z-stopped", "read", failed=True)
    assert len(names(store)) == 3
    assert names(store, status="finished") == ["2026-07-01-1200Z-done"]
    assert names(store, status="unfinished") == ["2026-07-01-1201Z-gone"]
    assert names(store, status="failed") == ["2026-07-01-1202Z-stopped"]
    assert names(store, status="running") == []


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"recipe": 1}', json.dumps({**RECORD, "metrics": {"a": "b"}}),
     json.dumps({**RECORD, "seconds": None}), json.dumps({**RECORD, "metrics": 3})],
)  # fmt: skip
def test_a_damaged_record_does_not_spoil_the_list(store: Store, text: str) -> None:
    add_run(store, "2026-07-01-1200Z-good")
    add_run(store, "2026-07-01-1201Z-bad")
    (store.runs / "2026-07-01-1201Z-bad" / "record.json").write_text(text)
    assert len(names(store)) == 2
    assert names(store, sort="metric:eval_loss")[0] == "2026-07-01-1200Z-good"


def test_a_store_that_is_not_there_has_no_runs(store: Store) -> None:
    listing = RunsIndex(store).listing(Query(page=7), {})
    assert (listing.total, listing.page, listing.pages) == (0, 1, 1)
    assert not store.root.exists()


# ---- tags -------------------------------------------------------------------------------------


def test_tags_are_kept_beside_the_runs_and_choose_them(store: Store) -> None:
    one, two = "2026-07-01-1200Z-one", "2026-07-01-1201Z-two"
    before = [(add_run(store, name) / "record.json").read_bytes() for name in (one, two)]
    add_tag(store, one, "best")
    add_tag(store, one, " for-paper ")
    add_tag(store, one, "best")
    add_tag(store, two, "für.später")
    assert read_tags(store) == {one: ["best", "for-paper"], two: ["für.später"]}
    assert names(store, tag="best") == [one]
    assert names(store, text="PAPER one") == [one]
    assert names(store, text="paper two") == []
    remove_tag(store, one, "best")
    remove_tag(store, two, "für.später")
    remove_tag(store, two, "never was")
    assert read_tags(store) == {one: ["for-paper"]}
    assert [(store.runs / name / "record.json").read_bytes() for name in (one, two)] == before


@pytest.mark.parametrize(
    "tag", ["", "-a", ".a", "a b", "a,b", "<b>", "a/b", "a\n", "x" * 33, "\u202e"]
)
def test_what_is_not_a_tag_is_refused(store: Store, tag: str) -> None:
    if tag == "a\n":
        add_tag(store, "run", tag)  # what a text field may send around a word is taken off
        assert read_tags(store) == {"run": ["a"]}
        return
    with pytest.raises(InputError, match="is not a tag"):
        add_tag(store, "run", tag)
    assert read_tags(store) == {}


def test_a_run_has_so_many_tags_at_most(store: Store) -> None:
    for number in range(MOST):
        add_tag(store, "run", f"t{number}")
    with pytest.raises(InputError, match=f"has {MOST} tags"):
        add_tag(store, "run", "one-more")


@pytest.mark.parametrize("text", ["", "[]", '{"a": 1}', '{"a": [1, "<b>", "ok"]}', "[" * 9999])
def test_damaged_tags_are_left_out(store: Store, text: str) -> None:
    store.root.mkdir()
    (store.root / "tags.json").write_text(text)
    assert read_tags(store) in ({}, {"a": ["ok"]})
    add_tag(store, "run", "fine")
    assert read_tags(store)["run"] == ["fine"]
