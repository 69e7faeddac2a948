"""The source `sqlite`: the rows of a query, as JSON lines."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from contextlib import closing
from pathlib import Path

from khichdi.plugins import FetchError, Params, Pin, PinnedFile, Source, hookimpl
from pydantic import Field

FILE = "rows.jsonl"


class SqliteParams(Params):
    """Which database, and what to ask it."""

    database: str = Field(min_length=1, description="The database file, relative to the recipe.")
    query: str = Field(
        min_length=1,
        description="A SELECT; each row becomes a JSON object by column names. Say ORDER BY: "
        "rows in another order are other bytes.",
    )


class Sqlite(Source[SqliteParams]):
    """Bring the rows of a query of a local SQLite database, as JSON lines."""

    name = "sqlite"
    example = {
        "database": "questions.db",
        "query": "SELECT question AS input, answer AS output FROM questions ORDER BY id",
    }
    local = True

    def pin(self, folder: Path) -> Pin:
        """Ask the database, and return size and digest of the lines."""
        content = self._lines(folder)
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        return Pin((PinnedFile(path=FILE, size=len(content), sha256=digest),))

    def fetch(self, pin: Pin, folder: Path, into: Path) -> None:
        """Ask again; khichdi compares with what was pinned."""
        (into / FILE).write_bytes(self._lines(folder))

    def _lines(self, folder: Path) -> bytes:
        path = (folder / self.params.database).resolve()
        if not path.is_file():
            raise FetchError(
                f"there is no database {path}", hint="`database` starts where the recipe is"
            )
        try:
            # Opened so that nothing can be written, whatever the query says.
            with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
                found = database.execute(self.params.query)
                columns = [column[0] for column in found.description or ()]
                lines = [_line(columns, row) for row in found]
        except sqlite3.Error as error:
            raise FetchError(
                f"{path.name}: {error}", hint="try the query with the sqlite3 command"
            ) from None
        if not lines:
            raise FetchError(f"{path.name}: the query gives no row")
        return "".join(lines).encode("utf-8")


def _line(columns: list[str], row: tuple[object, ...]) -> str:
    for column, value in zip(columns, row, strict=True):
        if isinstance(value, bytes):
            raise FetchError(
                f"column `{column}` holds bytes, and JSON has none",
                hint="turn it into text in the query: CAST(column AS TEXT)",
            )
    return json.dumps(dict(zip(columns, row, strict=True)), ensure_ascii=False) + "\n"


@hookimpl
def khichdi_sources() -> list[type[Sqlite]]:
    """Return the plugins of this distribution."""
    return [Sqlite]
