"""Audit honest runs of every kind, in varied environments: none may be called anything else.

Each run is audited as it is, from a copy of its store elsewhere, and as bundles in an empty store;
in other working folders, languages, time zones, hash seeds, numbers of threads and folders for
temporary files; by bytes, by segments and by executing everything again.

    python -m tests.stress.honest [PERCENT]
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from khichdi.runtime.audit.audited_run import open_claim

from ..flow.conftest import Workdir
from .cases.honest_cases import Case, cases, ran

ABSENT = {"sources", "data", "batches", "base weights", "exports"}
"""Levels whose bytes, where a run has any, a bundle without data and weights does not have."""
ENVIRONMENTS: tuple[dict[str, str], ...] = (
    {},
    {"OMP_NUM_THREADS": "1", "TZ": "Asia/Kolkata", "PYTHONHASHSEED": "1"},
    {"OMP_NUM_THREADS": "2", "TZ": "America/St_Johns", "PYTHONHASHSEED": "7", "LC_ALL": "C"},
    {"LANG": "tr_TR.UTF-8", "PYTHONUTF8": "0", "TOKENIZERS_PARALLELISM": "true", "COLUMNS": "40"},
)


@dataclass
class Table:
    """What the audits said: by case and by way, how many, and the false alarms."""

    said: Counter[tuple[str, str]] = field(default_factory=Counter)
    alarms: list[str] = field(default_factory=list)

    def text(self) -> str:
        """Return the table."""
        ways = sorted({way for _, way in self.said})
        rows = [["run", *ways, "audits"]]
        for case in dict.fromkeys(case for case, _ in self.said):
            counts = [self.said[case, way] for way in ways]
            rows.append([case, *map(str, counts), str(sum(counts))])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
        total = f"audits {self.said.total():,}, false alarms {len(self.alarms):,}"
        return "\n".join([*lines, total, *(f"FALSE ALARM {one}" for one in self.alarms)])


# ---- audits ---------------------------------------------------------------------------------


def targets(workdir: Workdir, run: Path, scratch: Path) -> Iterator[tuple[str, str, Path]]:
    """Yield ways to hand a run over: how, what the auditor is given, and the auditor's store."""
    store = workdir.folder / "store"
    yield "run", run.name, store
    moved = scratch / "moved" / "a store"
    shutil.copytree(store, moved)
    yield "moved store", str(moved / "runs" / run.name), moved
    empty = scratch / "empty"
    for name, words in (("bundle", ()), ("whole bundle", ("--with-data", "--with-weights"))):
        bundle = scratch / f"{name}.bundle"
        workdir.json("bundle", run.name, "-o", str(bundle), *words)
        yield name, str(bundle), empty


def audit_all(case: Case, folder: Path, base: Path, share: int, table: Table) -> None:
    """Audit a case in every way and environment, or in a share of them."""
    workdir, run = ran(case, folder / "workdir", base)
    handed = list(targets(workdir, run, folder))
    absent = ABSENT & {place for *_, place in open_claim(run, run.name, ()).outputs()}
    whole = handed[-1]
    audits = [
        (way, index, target, []) for index in range(len(ENVIRONMENTS)) for way, *target in handed
    ]
    audits += [("segments", 1, list(whole[1:]), ["--segments", "2"])]
    audits += [("rerun", 2, list(whole[1:]), ["--rerun"])]
    chosen = audits[:: max(1, 100 // share)]
    for index, environment in enumerate(ENVIRONMENTS):
        here = [(way, target, mode) for way, one, target, mode in chosen if one == index]
        words = [_words(case, *target, mode) for _, target, mode in here]
        for (way, _, _), (status, found) in zip(
            here, _audit(words, folder, environment), strict=True
        ):
            table.said[case.name, way] += 1
            wrong = _wrong(status, found, absent if way == "bundle" else set(), way == "rerun")
            if wrong:
                table.alarms.append(f"{case.name}, {way}, {environment}: {wrong}")


def _words(case: Case, target: str, store: Path, mode: list[str]) -> list[str]:
    consent = ["--allow-local-plugins"] if case.consent else []
    return ["audit", target, "--json", "--store", str(store), *mode, *consent]


AUDITOR = """
import contextlib, io, json, sys
from khichdi.cli.main import main
for words in json.load(sys.stdin):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        status = main(words)
    print(json.dumps([status, json.loads(out.getvalue())]), flush=True)
"""


def _audit(
    words: list[list[str]], folder: Path, environment: dict[str, str]
) -> list[tuple[int, Any]]:
    """Audit in a process of its own, in a working folder and with temporary files of its own."""
    if not words:
        return []
    with tempfile.TemporaryDirectory(dir=folder, prefix="şomewhere élse ") as place:
        done = subprocess.run(
            [sys.executable, "-c", AUDITOR],
            cwd=place,
            env={**os.environ, "TMPDIR": place, **environment},
            input=json.dumps(words).encode(),
            capture_output=True,
            check=False,
        )
    found = [tuple(json.loads(line)) for line in done.stdout.splitlines()]
    error = {"error": {"message": done.stderr.decode(errors="replace")}}
    return found + [(done.returncode or 1, error)] * (len(words) - len(found))


def _wrong(status: int, found: Any, absent: set[str], executed: bool) -> str | None:
    """Return what is wrong with what an audit says of an honest run."""
    if status or "levels" not in found:
        return f"exit {status}: {found.get('where') or found.get('error')}"
    unsure = {
        one["level"]
        for one in found["levels"]
        if one["verdict"] != "identical" and one["level"] != "environment"
    }
    if unsure != absent:
        return f"not identical: {', '.join(sorted(unsure ^ absent))}"
    if executed and not found["passed"]:
        return "not passed, though every step was executed again"
    return None


def campaign(base: Path, scratch: Path, share: int) -> Table:
    """Audit a share, in percent, of the runs, and each in the same share of the ways."""
    table, chosen = Table(), cases()
    count = -(-len(chosen) * share // 100)
    for number, case in enumerate(chosen[:count]):
        folder = scratch / str(number)
        try:
            audit_all(case, folder, base, share, table)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        print(f"{case.name}: {table.said.total()} audits, {len(table.alarms)} alarms", flush=True)
    return table


if __name__ == "__main__":
    from ..helpers.miniature import make_base

    with tempfile.TemporaryDirectory() as place:
        made = make_base(Path(place) / "base")
        done = campaign(made, Path(place), int(sys.argv[1]) if len(sys.argv) > 1 else 100)
    print(done.text())
    raise SystemExit(bool(done.alarms))
