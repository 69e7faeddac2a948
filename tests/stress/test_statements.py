"""No mutant of the documents beside a run is taken for what its maker wrote."""

from __future__ import annotations

from pathlib import Path

from sizes import sized

from .statements import campaign


def test_no_forgery_of_a_calibration_attestation_or_statement_is_accepted(tmp_path: Path) -> None:
    count = sized(20_000, few=400)
    table = campaign(tmp_path, count)
    print(table.text())
    assert table.accepted == []
    assert table.found.total() > count // 2
