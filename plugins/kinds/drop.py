"""Why a row leaves the data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Drop:
    """The reason for dropping a row: a short slug (`too-long`), counted in the record, and details.

    `detail` explains the drop of one row: the row it repeats, the phrase it holds.
    `id` is for readers, whose bad record is not a row yet.
    """

    reason: str
    detail: str = ""
    id: str = ""
