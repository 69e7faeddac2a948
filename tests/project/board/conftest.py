"""A project with a real run of data alone, and a board over it, asked without a network."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import khichdi

RECIPE = """\
recipe: 1
name: small
description: "a small one"
data:
  one:
    source: {use: files, include: [one.jsonl]}
    read: {use: jsonl}
    filters: [{use: max-words, fields: [input], below: 9}]
mixture: {validation: {count: 2}}
"""


@dataclass
class Project:
    """A folder with a recipe and a store, and what a board over them answers."""

    folder: Path
    ask: Callable[..., Any]

    @property
    def store(self) -> Path:
        return self.folder / "store"

    def run(self, *settings: str) -> khichdi.Run:
        recipe = khichdi.open_recipe("small.yaml", settings=settings, store=self.store)
        return recipe.run()

    def client(self, *, write: bool = False, token: str | None = None) -> Any:
        """Return a client of a board, which asks as a browser's own page does."""
        return self.ask(write, token)


def client_of(project: Path, write: bool, token: str | None) -> Any:
    from starlette.testclient import TestClient

    from khichdi.project.board.app import make_app
    from khichdi.project.board.pages import Board
    from khichdi.project.board.recipe_files import RecipeFolder
    from khichdi.runtime.store.store import Store

    board = Board(Store(project / "store"), RecipeFolder(project), write)
    app = make_app(board, ("127.0.0.1", "localhost"), token)
    return TestClient(
        app,
        base_url="http://127.0.0.1:8765",
        headers={"origin": "http://127.0.0.1:8765"},
        follow_redirects=False,
        raise_server_exceptions=False,
    )


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    pytest.importorskip("starlette", reason="the extra `serve` is not installed")
    monkeypatch.chdir(tmp_path)
    rows = [
        {"instruction": "Count.", "input": "word " * n, "output": "yes", "task": "t"}
        for n in range(14)
    ]
    (tmp_path / "one.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "small.yaml").write_text(RECIPE)
    return Project(tmp_path, lambda write, token: client_of(tmp_path, write, token))
