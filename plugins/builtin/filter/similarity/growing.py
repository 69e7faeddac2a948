"""An array that grows at its end."""

from __future__ import annotations

from typing import Any

import numpy as np


class Grown:
    """Rows of an array that grows at its end."""

    def __init__(self, rows: np.ndarray[Any, Any]) -> None:
        self.size = 0
        self._room = np.empty((1024, *rows.shape[1:]), rows.dtype)
        self.add(rows)

    def add(self, rows: np.ndarray[Any, Any]) -> None:
        """Append rows; room doubles, so that each is copied a few times at most."""
        size = self.size + len(rows)
        if size > len(self._room):
            room = np.empty((max(size, 2 * len(self._room)), *rows.shape[1:]), rows.dtype)
            room[: self.size] = self.rows
            self._room = room
        self._room[self.size : size] = rows
        self.size = size

    @property
    def rows(self) -> np.ndarray[Any, Any]:
        """The rows so far, as a view."""
        return self._room[: self.size]
