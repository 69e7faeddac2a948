"""Runs are found by name, by a part of it, or as the latest, however many the store has."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from journals import write_journal

from khichdi.cli.main import main
from khichdi.project.run_lookup import list_runs, open_run
from khichdi.runtime.store.store import Store
from khichdi.schema.errors import InputError
from khichdi.schema.record import Record

MANY = 600


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store with many finished runs, one a minute, and three that did not finish."""
    monkeypatch.setenv("KHICHDI_STORE", str(tmp_path / "store"))
    store = Store(tmp_path / "store")
    for number in range(MANY):
        hour, minute = divmod(number, 60)
        day, hour = divmod(hour, 24)
        record = Record(
            recipe="pico",
            recipe_hash="sha256:" + "0" * 64,
            result_hash="sha256:" + f"{number:064}",
            seed=1,
            started=f"2026-03-{day + 1:02}T{hour:02}:{minute:02}:00+00:00",
            seconds=1.0,
            steps=(),
            metrics={},
            plugins=(),
            environment={},
        )
        folder = store.runs / f"2026-03-{day + 1:02}-{hour:02}{minute:02}Z-pico"
        folder.mkdir(parents=True)
        (folder / "record.json").write_text(record.to_text())
    (store.runs / "2026-03-01-0500Z-pico-2").mkdir()
    for minute in (1, 2):
        (store.runs / f"2026-04-01-000{minute}Z-pico").mkdir()
    return store


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The records that were read, in order."""
    read: list[str] = []
    from_json = Record.from_json

    def counted(raw: bytes, name: str) -> Record:
        read.append(name)
        return from_json(raw, name)

    monkeypatch.setattr(Record, "from_json", counted)
    return read


def recipe(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main([*words]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("question", "records"),
    [
        (lambda: open_run("latest"), 2),
        (lambda: open_run("2026-03-01-0800Z-pico"), 1),
        (lambda: open_run("2026-03-01-0800"), 1),
        (lambda: list_runs(30), 28),
    ],
)
def test_a_question_reads_few_records_of_many(
    store: Store, opened: list[str], question: Callable[[], object], records: int
) -> None:
    question()
    assert len(opened) == records


def test_the_start_of_a_name_is_enough_where_no_other_run_starts_so(store: Store) -> None:
    assert open_run("2026-03-01-0007").name == "2026-03-01-0007Z-pico"
    with pytest.raises(
        InputError, match="several runs have names that start with 2026-03"
    ) as found:
        open_run("2026-03")
    assert "2026-03-01-0959Z-pico, 2026-03-01-0958Z-pico, 2026-03-01-0957Z-pico, …" in str(
        found.value.hint
    )
    with pytest.raises(InputError, match="no finished run 2026-04"):
        open_run("2026-04")  # neither of them finished
    for nothing in ("", ".", "..", "../runs"):
        with pytest.raises(InputError, match="no finished run"):
            open_run(nothing)


def test_any_part_of_a_name_is_enough_where_no_other_run_has_it(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    assert open_run("01-0007Z").name == "2026-03-01-0007Z-pico"
    # A start of one name wins over a part of another.
    for name in ("rank-8", "2026-03-02-0000Z-rank-8b", "2026-03-02-0001Z-rank-16"):
        (store.runs / name).mkdir()
        record = (store.runs / "2026-03-01-0007Z-pico" / "record.json").read_text()
        (store.runs / name / "record.json").write_text(record)
    assert open_run("rank-1").name == "2026-03-02-0001Z-rank-16"
    assert open_run("ran").name == "rank-8"
    assert main(["show-drops", "Z-rank"]) == 2
    said = capsys.readouterr().err
    assert "several runs have names that contain Z-rank" in said
    assert "2026-03-02-0001Z-rank-16, 2026-03-02-0000Z-rank-8b" in said
    with pytest.raises(InputError, match="no finished run pico-2"):
        open_run("pico-2")  # it did not finish


def test_runs_are_listed_by_the_page_newest_first(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    page = recipe(capsys, "runs").splitlines()
    assert len(page) == 31
    assert page[0].split() == ["2026-04-01-0002Z-pico", "unfinished"]
    assert page[2].split()[0] == "2026-03-01-0959Z-pico"
    assert page[2].split()[-4::2] == ["recipe", "result"]
    command = page[-1].removeprefix("older ones: recipe ").split()
    assert command == ["runs", "--before", "2026-03-01-0932Z-pico"]
    following = recipe(capsys, *command, "--limit", "2").splitlines()
    assert following[0].split()[0] == "2026-03-01-0931Z-pico"
    assert following[-1] == "older ones: recipe runs --before 2026-03-01-0930Z-pico"


def test_a_run_that_did_not_finish_is_listed_with_how_and_where_it_ended(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped = store.runs / "2026-05-01-0000Z-stopped"
    write_journal(stopped, "train", failed=True)
    assert recipe(capsys, "runs", "--limit", "1").split()[:4] == [
        "2026-05-01-0000Z-stopped", "failed", "in", "train",
    ]  # fmt: skip
    (found,) = json.loads(recipe(capsys, "runs", "--limit", "1", "--json"))
    assert (found["status"], found["result_hash"]) == ("failed", None)
    write_journal(stopped, "train", failed=False)
    assert recipe(capsys, "runs", "--limit", "1").split()[1] == "interrupted"


def test_pages_have_every_run_once(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    everything = json.loads(recipe(capsys, "runs", "--all", "--json"))
    assert len(everything) == MANY + 3
    words, paged = [], []
    while page := json.loads(recipe(capsys, "runs", "--limit", "303", *words, "--json")):
        paged += page
        words = ["--before", Path(page[-1]["run"]).name]
    assert paged == everything


@pytest.mark.parametrize("words", [("--limit", "0"), ("--before", "2026-04-01")])
def test_a_page_that_cannot_be_is_refused(
    store: Store, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["runs", *words]) == 2
    assert words[1] in capsys.readouterr().err
