"""Generate rows for a rehearsal, in place of a source that is not on this machine."""

from __future__ import annotations

import pyarrow as pa

from ...schema.rows import row_schema

PLACES = ("river", "harbour", "market", "library", "station", "orchard", "bridge", "museum")
ASKED = (
    "Say in one sentence what the passage is about.",
    "Answer the question from the passage.",
    "Name the place that the passage speaks of.",
    "Is the statement true of the passage? Answer yes or no.",
)


def stand_ins(count: int, salt: str) -> pa.RecordBatch:
    """Return rows with every column filled, no two with the same input, also of other salts."""
    schema = row_schema()
    rows = [_row(number, salt) for number in range(count)]
    columns = {name: [row[name] for row in rows] for name in schema.names}
    return pa.RecordBatch.from_pydict(columns, schema=schema)


def _row(number: int, salt: str) -> dict[str, object]:
    place, asked = PLACES[number % len(PLACES)], ASKED[number % len(ASKED)]
    days = (
        f"On day {number + day} somebody walked to the {place} and saw {number * 7 + day} boats."
        for day in range(1 + number % 6)
    )
    text = " ".join([f"From {salt}.", *days])
    answer = "yes" if asked.endswith("no.") else f"The {place}, on day {number}."
    return {
        "id": f"stand-in#{number}",
        "source": "",
        "task": f"stand-in-{number % 4}",
        "license": "",
        "provenance": "stand-in",
        "categories": ["Question Answering"],
        "domains": ["Everyday Life"],
        "input_languages": ["English"],
        "output_languages": ["English"],
        "instruction": asked,
        "input": text,
        "output": answer,
        "references": [answer],
        "turns": [
            {"role": "user", "text": text, "extra": ""},
            {"role": "assistant", "text": answer, "extra": ""},
        ],
        "tools": "",
    }
