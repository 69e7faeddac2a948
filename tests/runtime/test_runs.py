"""Runs are found by the start that they record, and only those that are asked for are read."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from khichdi.plugins.registry import Registry
from khichdi.runtime.store import runs
from khichdi.runtime.store.runs import make_record, new_run, newest_runs, run_names
from khichdi.runtime.store.store import Store
from khichdi.schema.plan import Plan, PlanStep, PluginRef
from khichdi.schema.record import Record

Add = Callable[..., Path]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def add(store: Store) -> Add:
    """Return a function that adds a finished run, by its folder's name and its start."""

    def add(name: str, started: str, recipe: str = "pico") -> Path:
        record = Record(
            recipe=recipe,
            recipe_hash="sha256:" + "0" * 64,
            result_hash="sha256:" + "1" * 64,
            seed=1,
            started=started,
            seconds=1.0,
            steps=(),
            metrics={},
            plugins=(),
            environment={},
        )
        folder = store.runs / name
        folder.mkdir(parents=True)
        (folder / "record.json").write_text(record.to_text())
        return folder

    return add


def names(found: object) -> list[str]:
    return [folder.name for folder, _ in found]  # type: ignore[attr-defined]


def test_runs_go_by_the_start_that_they_record_whatever_was_done_to_their_folders(
    store: Store, add: Add, tmp_path: Path
) -> None:
    add("2026-03-01-1200Z-pico", "2026-03-01T12:00:07+00:00")
    add("2026-03-01-1200Z-pico-2", "2026-03-01T12:00:40+00:00")
    add("2026-03-01-1200Z-pico-10", "2026-03-01T12:00:40+00:00")
    add("renamed", "2026-03-01T12:00:09+00:00")
    oldest = add("2026-02-28-2359Z-pico", "2026-02-28T23:59:00+00:00")
    wanted = [
        "2026-03-01-1200Z-pico-10", "2026-03-01-1200Z-pico-2", "renamed", "2026-03-01-1200Z-pico",
        "2026-02-28-2359Z-pico",
    ]  # fmt: skip
    assert names(newest_runs(store)) == wanted
    (oldest / "attestation.json").write_text("{}")  # signed, copied, touched
    os.utime(oldest)
    shutil.move(store.root, tmp_path / "moved")
    moved = Store(tmp_path / "moved")
    assert names(newest_runs(moved)) == wanted
    assert names(newest_runs(moved, before=moved.runs / wanted[1])) == wanted[2:]
    assert sorted(run_names(moved)) == sorted(wanted)


def test_runs_of_one_second_go_by_their_microseconds_and_by_number_where_there_are_none(
    store: Store, add: Add
) -> None:
    add("2026-03-01-1200Z-pico", "2026-03-01T12:00:07.000900+00:00")
    add("2026-03-01-1200Z-pico-2", "2026-03-01T12:00:07.000100+00:00")
    add("2026-03-01-1200Z-pico-3", "2026-03-01T17:30:07+05:30")
    add("2026-03-01-1200Z-pico-4", "2026-03-01T12:00:07+00:00")
    assert [name[-6:] for name in names(newest_runs(store))] == [
        "Z-pico",
        "pico-2",
        "pico-4",
        "pico-3",
    ]


def test_a_recorded_start_is_in_utc_with_microseconds_in_any_time_zone() -> None:
    zeros = "sha256:" + "0" * 64
    step = PlanStep(
        name="a", kind="pack", plugin=PluginRef(kind="pack", name="pack", version=1), key=zeros
    )
    plan = Plan(language=1, recipe="pico", seed=1, locked=False, recipe_hash=zeros, steps=(step,))
    for started, recorded in (
        (datetime(2026, 3, 1, 12, tzinfo=UTC), "2026-03-01T12:00:00.000000+00:00"),
        (
            datetime(2026, 3, 1, 17, 30, 7, 12, timezone(timedelta(hours=5, minutes=30))),
            "2026-03-01T12:00:07.000012+00:00",
        ),
    ):
        assert make_record(plan, [], Registry({}), started, 1.0).started == recorded


def test_a_start_that_is_no_time_or_in_the_future_does_not_make_a_run_the_latest(
    store: Store, add: Add
) -> None:
    add("2026-03-01-1201Z-pico", "2026-03-01T12:01:00+00:00")
    add("2026-03-01-1200Z-pico", "9999-12-31T23:59:59.999999+00:00")
    add("renamed", "whenever")
    assert names(newest_runs(store)) == [
        "2026-03-01-1201Z-pico", "2026-03-01-1200Z-pico", "renamed",
    ]  # fmt: skip


def test_a_run_that_did_not_finish_has_no_record(store: Store, add: Add) -> None:
    add("2026-03-01-1200Z-pico", "2026-03-01T12:00:00+00:00")
    (store.runs / "2026-03-01-1201Z-pico").mkdir()
    assert [record is None for _, record in newest_runs(store)] == [True, False]


def test_runs_of_one_recipe_are_not_those_of_one_whose_name_starts_alike(
    store: Store, add: Add
) -> None:
    add("2026-03-01-1200Z-pico", "2026-03-01T12:00:00+00:00")
    add("2026-03-01-1201Z-pico-large", "2026-03-01T12:01:00+00:00", recipe="pico-large")
    add("2026-03-01-1202Z-other", "2026-03-01T12:02:00+00:00", recipe="other")
    assert names(newest_runs(store, "pico")) == ["2026-03-01-1200Z-pico"]


def test_runs_of_people_in_several_time_zones_go_by_the_instant(store: Store) -> None:
    """A folder's name is in UTC: neither zones nor clocks that are put back change the order."""
    starts = ["2026-10-25T02:30:00+02:00", "2026-10-25T02:10:00+01:00", "2026-10-24T20:30:00-05:00"]
    folders = [new_run(store, "pico", datetime.fromisoformat(start)) for start in starts]
    assert names(newest_runs(store)) == [folders[i].name for i in (2, 1, 0)]


def test_of_many_runs_only_those_of_the_newest_minute_are_read(
    store: Store, add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    for hour in range(20):
        for minute in range(60):
            add(f"2026-03-01-{hour:02}{minute:02}Z-pico", f"2026-03-01T{hour:02}:{minute:02}:00Z")
    read: list[Path] = []
    monkeypatch.setattr(runs, "_record", lambda folder: read.append(folder))
    assert next(newest_runs(store))[0].name == "2026-03-01-1959Z-pico"
    assert len(read) == 1


def test_a_store_without_runs_has_none(store: Store) -> None:
    assert list(newest_runs(store)) == []
