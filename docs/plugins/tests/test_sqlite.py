"""The conformance kit, and what is particular to `sqlite`."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from khichdi.plugins import FetchError
from khichdi.plugins.testing import SourceTests

from khichdi_examples.sqlite import Sqlite, SqliteParams


def database() -> bytes:
    """Return a database of two questions."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE t (id INTEGER, q TEXT, a TEXT, raw BLOB)")
        rows = [(2, "3 + 3?", "6", b"\xff"), (1, "Où ?", "Là.", b"")]
        connection.executemany("INSERT INTO t VALUES (?, ?, ?, ?)", rows)
        connection.commit()
        return connection.serialize()


class TestSqlite(SourceTests):
    """What every source is held to."""

    plugin = Sqlite
    record = Path(__file__).with_name("version.json")
    params = {
        "database": "questions.db",
        "query": "SELECT q AS input, a AS output FROM t ORDER BY id",
    }
    files = {"questions.db": database()}


def source(query: str) -> Sqlite:
    """Return the source with a query."""
    return Sqlite(SqliteParams(database="questions.db", query=query))


def test_rows_come_as_json_lines_in_the_querys_order(tmp_path: Path) -> None:
    """What is fetched is what was pinned."""
    (tmp_path / "questions.db").write_bytes(database())
    plugin = source("SELECT q AS input, a AS output FROM t ORDER BY id")
    pin = plugin.pin(tmp_path)
    into = tmp_path / "into"
    into.mkdir()
    plugin.fetch(pin, tmp_path, into)
    assert (into / "rows.jsonl").read_text("utf-8").splitlines() == [
        '{"input": "Où ?", "output": "Là."}',
        '{"input": "3 + 3?", "output": "6"}',
    ]
    assert pin.files[0].size == (into / "rows.jsonl").stat().st_size


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("SELECT other FROM t", "no such column"),
        ("SELECT q FROM t WHERE id > 9", "gives no row"),
        ("SELECT raw FROM t", "holds bytes"),
        ("DELETE FROM t", "readonly database"),
    ],
)
def test_a_query_that_gives_no_rows_of_text_is_refused(
    query: str, words: str, tmp_path: Path
) -> None:
    """The database itself cannot be changed."""
    (tmp_path / "questions.db").write_bytes(database())
    with pytest.raises(FetchError, match=words):
        source(query).pin(tmp_path)


def test_a_missing_database_is_no_empty_one(tmp_path: Path) -> None:
    """SQLite would make the file."""
    with pytest.raises(FetchError, match="no database"):
        source("SELECT 1").pin(tmp_path)
    assert not (tmp_path / "questions.db").exists()
