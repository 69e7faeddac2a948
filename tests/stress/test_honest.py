"""No audit calls an honest run anything but identical, wherever and however it is audited."""

from __future__ import annotations

from pathlib import Path

from sizes import sized

from .honest import campaign


def test_no_honest_run_raises_an_alarm(tmp_path: Path, tiny_base: Path) -> None:
    share = sized(100, few=10)
    table = campaign(tiny_base, tmp_path, share)
    print(table.text())
    assert table.alarms == []
    assert table.said.total() >= (200 if share == 100 else 2)
