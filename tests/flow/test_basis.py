"""What a verdict rests on is said in the text, the JSON, the page and the statement."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from khichdi.runtime.store.store import Store
from khichdi.schema.record import Record

from .conftest import Workdir
from .test_audit import run_of

Ran = tuple[Workdir, Any]


def test_the_verdict_says_what_the_draw_finds_and_what_was_not_derived(
    own_run: Ran, tmp_path: Path
) -> None:
    statement = tmp_path / "audit.json"
    words = ("audit", "latest", "--segments", "1")
    text = own_run[0].call(*words, "--statement", str(statement))[1]
    said = "train: had 1 of 4 segments been forged, this draw would have found it with probability"
    assert f"{said} 0.25; 4 or more, with at least 0.95" in text
    assert "verdict: IDENTICAL, training sampled (" in text
    assert "was not derived here" not in text
    value = json.loads(statement.read_text())
    (method,) = (one for one in value["predicate"]["configuration"] if one["name"] == "khichdi")
    (draw,) = method["annotations"]["segments"]
    assert (draw["oneForgedFound"], draw["surelyCaught"]) == (0.25, 4)
    # Without the sources here, in a store that has everything else.
    (own_run[0].folder / "capitals.jsonl").unlink()
    store = Store(own_run[0].folder / "store")
    record = Record.from_json((run_of(own_run) / "record.json").read_bytes(), "record.json")
    source = next(one for one in record.steps if one.name == "data/capitals/source").result
    shutil.rmtree(store.folder(source.outputs["files"]))
    text = own_run[0].call(*words)[1]
    assert "what was trained on was not derived here: data, batches" in text
    assert "verdict: UNVERIFIABLE: sources" in text
