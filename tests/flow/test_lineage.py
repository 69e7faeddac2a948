"""Every row of a run is accounted for: what became of it, and why, equal to an own recount."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from khichdi.runtime.row_lineage import Lineage
from khichdi.runtime.store.store import Store
from khichdi.schema.plan import Plan
from khichdi.schema.record import Record

from .conftest import Workdir

Ran = tuple[Workdir, Any]


def inputs(workdir: Workdir, name: str) -> list[str]:
    lines = (workdir.folder / f"{name}.jsonl").read_text().splitlines()
    return [json.loads(line)["input"] for line in lines]


def ids(workdir: Workdir) -> dict[str, str]:
    return {
        f"{name}/{name}.jsonl#{number}": text
        for name in ("capitals", "colours")
        for number, text in enumerate(inputs(workdir, name))
    }


def test_every_row_has_an_end_and_the_ends_add_up(shared_run: Ran) -> None:
    workdir, document = shared_run
    run = Path(document["run"])
    record = json.loads((run / "record.json").read_text())
    store = Store(workdir.folder / "store")
    lineage = Lineage(
        Plan.from_json((run / "plan.json").read_bytes(), "plan.json"),
        Record.from_json((run / "record.json").read_bytes(), "record.json"),
        store,
    )
    ends: dict[str, int] = {}
    for row in ids(workdir):
        *_, last = lineage.events(row)
        end = last.reason or ("held out" if "validation" in last.detail else last.did)
        ends[end] = ends.get(end, 0) + 1
    facts = {step["name"]: step["result"]["facts"] for step in record["steps"]}
    kept = facts["split"]["rows_out"]
    assert ends == {
        "too-long": 8,
        "not-sampled": facts["data/capitals/sample"]["drops"]["not-sampled"],
        "duplicate": facts["mixture/filter/exact-duplicates"]["drops"]["duplicate"],
        "held out": 6,
        "packed": kept,
    }
    assert sum(ends.values()) == 42


def test_a_trace_tells_the_source_and_each_step(shared_run: Ran) -> None:
    workdir, _ = shared_run
    found = workdir.json("trace", "latest", "--row", "capitals.jsonl#5")
    assert found["id"] == "capitals/capitals.jsonl#5"
    assert found["origin"]["file"] == "capitals.jsonl"
    assert found["origin"]["number"] == 5
    assert found["row"]["input"] == inputs(workdir, "capitals")[5]
    assert [(event["did"], event["reason"]) for event in found["events"]] == [
        ("read", ""), ("dropped", "too-long"),
    ]  # fmt: skip
    status, out, _ = workdir.call("trace", "latest", "--row", "capitals.jsonl#5")
    assert status == 0
    assert "not trained on: dropped by data/capitals/filter/max-words (too-long)" in out


def test_a_row_that_was_trained_on_is_found_in_its_pack(shared_run: Ran) -> None:
    workdir, _ = shared_run
    traced = [workdir.json("trace", "latest", "--row", f"capitals.jsonl#{n}") for n in (0, 1, 2)]
    ways = [[(event["step"], event["did"]) for event in found["events"]] for found in traced]
    packed = next(way for way in ways if way[-1] == ("pack", "packed"))
    assert packed[0] == ("data/capitals/read", "read")
    assert packed[-2][0] == "split"


def test_a_row_that_is_not_there_or_not_one_is_named(shared_run: Ran) -> None:
    workdir, _ = shared_run
    status, _, err = workdir.call("trace", "latest", "--row", "capitals.jsonl#99")
    assert status == 2
    assert "no row of this run has the id" in err
    status, _, err = workdir.call("trace", "latest", "--row", ".jsonl#3")
    assert status == 2
    assert "2 rows end with" in err


def test_show_drops_lists_each_row_with_its_reason(shared_run: Ran) -> None:
    workdir, _ = shared_run
    found = workdir.json("show-drops", "latest", "--step", "max-words", "--limit", "0")
    long = [text for text in inputs(workdir, "capitals") if len(text.split()) >= 6]
    assert [entry["row"]["input"] for entry in found["rows"]] == long
    assert found["drops"] == {"too-long": len(long)}
    assert set(workdir.json("show-drops", "latest")) >= {
        "data/capitals/read",
        "data/capitals/sample",
    }
    status, _, err = workdir.call(
        "show-drops", "latest", "--step", "max-words", "--reason", "short"
    )
    assert status == 2
    assert "reasons: too-long" in err


def test_the_card_says_what_the_set_is_made_of(shared_run: Ran) -> None:
    workdir, _ = shared_run
    text = workdir.json("card", "latest")["card"]
    record = workdir.json("runs", "latest")
    facts = {step["name"]: step["result"]["facts"] for step in record["steps"]}
    assert f"{facts['split']['rows_out']:,} rows to train on and 6 for validation" in text
    assert record["recipe_hash"] in text
    assert "| data/capitals/filter/max-words | 30 | 22 | too-long 8 |" in text
    row = next(line for line in text.splitlines() if line.startswith("| capitals |"))
    assert "| 30 | " in row
    assert str(workdir.folder) not in text


def test_a_store_that_lost_its_rows_says_so(shared_run: Ran, tmp_path: Path) -> None:
    workdir, document = shared_run
    run = tmp_path / "moved"
    shutil.copytree(document["run"], run)
    other = Workdir(workdir.folder, {"KHICHDI_STORE": str(tmp_path / "empty")})
    status, _, err = other.call("trace", str(run), "--row", "capitals.jsonl#5")
    assert status == 3
    assert "does not have data/capitals/read#rows any more" in err
