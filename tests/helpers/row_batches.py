"""Rows with known likenesses, and rows of the full schema."""

from __future__ import annotations

import random
from typing import Any

import pyarrow as pa

from khichdi.schema.rows import COLUMNS, row_schema

EMPTY: dict[str, Any] = {"string": "", "list": [], "turns": []}


def batch_of(rows: list[dict[str, Any]]) -> pa.RecordBatch:
    """Return a batch of the full schema from rows that say only what matters."""
    full = [
        {name: EMPTY[kind] for name, kind in COLUMNS.items()} | {"id": f"d/f#{number}"} | row
        for number, row in enumerate(rows)
    ]
    return pa.RecordBatch.from_pylist(full, schema=row_schema())


def texts_with_near_duplicates(count: int, seed: int, near: float = 0.2) -> list[str]:
    """Return texts of 20 to 60 words, some of them an earlier one with one to four other words."""
    chosen = random.Random(seed)
    vocabulary = [
        "".join(chosen.choices("abcdefghijklmnopqrstuvwxyzäéß", k=chosen.randint(2, 9)))
        for _ in range(5000)
    ]
    texts: list[str] = []
    for _ in range(count):
        if texts and chosen.random() < near:
            words = chosen.choice(texts).split()
            for _ in range(chosen.randint(0, 4)):
                words[chosen.randrange(len(words))] = chosen.choice(vocabulary)
        else:
            words = chosen.choices(vocabulary, k=chosen.randint(20, 60))
        texts.append(" ".join(words))
    return texts
