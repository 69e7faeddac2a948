"""A broken line in a run: the command names file and line, or counts what the recipe drops."""

from __future__ import annotations

import pytest

from .conftest import Workdir


@pytest.mark.nightly
@pytest.mark.slow
def test_line_17_stops_the_run_or_is_dropped_and_nothing_else_is_lost(workdir: Workdir) -> None:
    file = workdir.folder / "capitals.jsonl"
    lines = file.read_text().splitlines()
    lines[16] = lines[16][:-2]
    lines[20] = '{"instruction": "Name a capital.", "input": "21"}'
    file.write_text("\n".join(lines) + "\n")

    error = workdir.json("run", "pico.yaml", status=3)["error"]
    assert (error["file"], error["line"]) == ("capitals.jsonl", 17)
    assert "broken JSON" in error["message"]
    assert error["hint"]
    status, _, err = workdir.call("run", "pico.yaml")
    assert status == 3
    assert "capitals.jsonl:17: " in err

    workdir.edit(
        "read: {use: jsonl}\n    filters", "read: {use: jsonl, on_bad_row: drop}\n    filters"
    )
    workdir.json("run", "pico.yaml")
    record = workdir.json("runs", "latest")
    facts = {step["name"]: step["result"]["facts"] for step in record["steps"]}
    assert facts["data/capitals/read"] == {
        "rows_in": len(lines), "rows_out": len(lines) - 2,
        "drops": {"broken-json": 1, "missing-field": 1},
    }  # fmt: skip
    assert facts["data/capitals/filter/max-words"]["rows_in"] == len(lines) - 2
    card = workdir.json("card", "latest")["card"]
    assert "| data/capitals/read | 30 | 28 | broken-json 1, missing-field 1 |" in card
    found = workdir.json("show-drops", "latest", "--step", "data/capitals/read")["rows"]
    assert [entry["id"] for entry in found] == [
        "capitals/capitals.jsonl#16", "capitals/capitals.jsonl#20",
    ]  # fmt: skip
    assert found[0]["detail"].startswith("line 17: broken JSON")
    traced = workdir.json("trace", "latest", "--row", "capitals.jsonl#20")
    assert [event["reason"] for event in traced["events"]] == ["missing-field"]
