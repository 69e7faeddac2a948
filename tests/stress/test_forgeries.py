"""No mutant of an honest run is accepted by an audit of its documents and bytes."""

from __future__ import annotations

from pathlib import Path

from sizes import sized

from ..flow.conftest import make_workdir
from .forgeries import campaign


def test_no_mutant_of_a_run_is_accepted(tmp_path: Path, tiny_base: Path) -> None:
    workdir = make_workdir(tmp_path / "workdir", tiny_base)
    run = Path(workdir.json("run", "pico.yaml")["run"])
    workdir.edit("learning_rate: 1.0e-3", "learning_rate: 2.0e-3")
    other = Path(workdir.json("run", "pico.yaml")["run"])
    count = sized(3_000, few=60)
    table = campaign(run, workdir.folder / "store", other, count)
    print(table.text())
    assert table.accepted == []
    assert sum(table.found.values()) > count / 3
