"""Look up a finished run: its plan, record and store."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..runtime.store.runs import PLAN, RECORD, all_runs
from ..runtime.store.store import Store
from ..schema.errors import InputError
from ..schema.plan import Plan
from ..schema.record import Record
from .session import store_folder

if TYPE_CHECKING:
    from ..runtime.row_lineage import Lineage

LATEST = "latest"


@dataclass(frozen=True)
class PastRun:
    """A finished run."""

    folder: Path
    record: Record
    store: Store

    def plan(self) -> Plan:
        """Return the plan that ran."""
        path = self.folder / PLAN
        return Plan.from_json(path.read_bytes(), str(path))

    def lineage(self) -> Lineage:
        """Return the run, ready to be asked about rows."""
        from ..runtime.row_lineage import Lineage

        return Lineage(self.plan(), self.record, self.store)


def run_argument(parser: ArgumentParser) -> None:
    """Add the run that a command is about."""
    parser.add_argument("run", metavar="RUN", help="a run's name or folder, or `latest`")


def open_run(options: Namespace) -> PastRun:
    """Return the run that a command names.

    A run's folder may lie anywhere; its store is the one that it lies in, else the usual one.

    Raises:
        InputError: there is no such finished run.
    """
    store = Store(store_folder(options))
    finished = [(folder, record) for folder, record in all_runs(store) if record]
    if options.run == LATEST and finished:
        return PastRun(*finished[-1], store)
    for folder in (store.runs / options.run, Path(options.run)):
        path = folder / RECORD
        if path.is_file():
            record = Record.from_json(path.read_bytes(), str(path))
            around = folder.resolve().parent
            inside = around.name == "runs" and (around.parent / "artifacts").is_dir()
            return PastRun(folder, record, Store(around.parent) if inside else store)
    newest = ", ".join(folder.name for folder, _ in finished[-3:])
    hint = f"the newest: {newest}" if newest else f"no runs in {store.root}"
    raise InputError(f"there is no finished run {options.run}", hint=hint)
