"""Every command with every system call failing once, and what it says and leaves behind.

A command runs in a forked child in a copy of a workdir whose recipe has run; one call on files
there fails (no space, a fault of the disk, no permission) or writes half of what it was given. Then
there is no traceback, the exit status says whether the work was done, the store is valid, and the
same command works when nothing fails.
"""

from __future__ import annotations

import errno
import importlib
import os
import random
import shutil
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from khichdi.cli.main import COMMANDS, main
from khichdi.plugins.registry import load_registry
from khichdi.runtime.calibration.worker import main as work
from khichdi.runtime.store.gc_and_verify import verify
from khichdi.runtime.store.store import Store

from .points import LOOKS, Points, fail_with
from .preparations import (
    damage,
    forget_rows,
    forget_runs,
    forget_training,
    give_job,
    unformatted,
    untidy,
    worked_once,
)

ERRORS = {"no space": errno.ENOSPC, "disk fault": errno.EIO, "no permission": errno.EACCES}
SHORT = "short write"
LIBRARIES = (
    "pyarrow.compute", "pandas", "matplotlib.backends.backend_agg", "matplotlib.figure",
    "rich.progress",
    "securesystemslib.signer", "securesystemslib.dsse", "khichdi.runtime.steps.source",
    "khichdi.runtime.steps.rows", "khichdi.runtime.steps.filter", "khichdi.runtime.steps.mixture",
    "khichdi.runtime.bundle.write", "khichdi.runtime.store.repair",
    "khichdi.runtime.signing.signing",
)  # fmt: skip


@dataclass(frozen=True)
class Command:
    """A command.

    Attributes:
        name: what it is called.
        words: of its command line.
        ready: makes a workdir ready for it, once.
        makes: the file that it makes.
        status: how it ends without a fault.
        before: done each time before it, uncounted, in its process.
        run: what takes the words.
    """

    name: str
    words: Sequence[str]
    ready: Callable[[Path], object] = lambda folder: None
    makes: str | None = None
    status: int = 0
    before: Callable[[Path], object] = lambda folder: None
    run: Callable[[list[str]], int] = main


@dataclass
class Tally:
    """Faults by command, exit statuses, what was wrong, and faults at calls that never came."""

    points: dict[str, int] = field(default_factory=dict)
    tried: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    unmet: int = 0

    def add(self, other: Tally) -> None:
        """Count another campaign's, too."""
        self.points |= other.points
        self.tried += other.tried
        self.statuses += other.statuses
        self.wrong += other.wrong
        self.unmet += other.unmet


def commands(run: str) -> list[Command]:
    """Return every command that writes and does not train; `run` is the workdir's run."""
    config = "base_model: a/b\ndatasets: [{path: c/d, type: alpaca}]\nadapter: qlora\n"
    return [
        Command("run", ["run", "pico.yaml"], forget_rows),
        Command("run, all there", ["run", "pico.yaml"], forget_runs),
        Command("lock", ["lock", "pico.yaml"], lambda f: (f / "pico.lock").unlink(), "pico.lock"),
        Command("bundle", ["bundle", run, "-o", "a.bundle"], makes="a.bundle"),
        Command("audit", ["audit", run, "--level", "sources", "--html", "a.html"], makes="a.html"),
        Command("store gc", ["store", "gc", "--quota", "1GB"], untidy),
        Command("store repair", ["store", "repair"], damage),
        Command("store verify", ["store", "verify"]),
        Command("fmt", ["fmt", "untidy.yaml"], unformatted, "untidy.yaml"),
        Command("new", ["new", "mine"], makes="mine.yaml"),
        Command("card", ["card", run, "--output", "card.md"], makes="card.md"),
        Command("mirror", ["mirror", "pico.yaml", "--to", "mirror"]),
        Command("plugins new", ["plugins", "new", "mine", "--kind", "filter"]),
        Command(
            "import",
            ["import", "axolotl", "a.yml", "-o", "imported.yaml"],
            lambda folder: (folder / "a.yml").write_text(config),
            "imported.yaml",
            1,
        ),
    ]


def readers(run: str) -> list[Command]:
    """Return every command that only reads and says."""
    return [
        Command("list", ["list"]),
        Command("validate", ["validate", "pico.yaml"]),
        Command("show", ["show", "pico.yaml"]),
        Command("hash", ["hash", "pico.yaml"]),
        Command("plan", ["plan", "pico.yaml"]),
        Command("diff", ["diff", run, "pico.yaml"]),
        Command("runs", ["runs"]),
        Command("runs, one", ["runs", run]),
        Command("trace", ["trace", run, "--row", "capitals.jsonl#5"]),
        Command("show-drops", ["show-drops", run]),
        Command("schema", ["schema"]),
        Command("plugins", ["plugins"]),
    ]


def signing(run: str, key: Path, public: Path) -> list[Command]:
    """Return the commands that need a key."""
    sign = ["sign", run, "--key", str(key)]
    verify = ["verify", run, "--key", str(public)]
    return [
        Command("sign", sign),
        Command("verify", verify, lambda folder: _call(Command("sign", sign), None, folder, None)),
    ]


def training(run: str) -> list[Command]:
    """Return the commands that train; each takes seconds."""
    return [
        Command("run, trained", ["run", "pico.yaml"], forget_training),
        Command("rehearse", ["rehearse", "pico.yaml", "--rows", "16"]),
        Command("audit, rerun", ["audit", run, "--rerun"]),
        Command(
            "calibrate, worker", ["work/job.json"], makes="work/rerun-0/training.json",
            before=partial(give_job, run), run=lambda words: work(Path(words[0]).resolve()),
        ),
    ]  # fmt: skip


def calibrating(run: str, kept: Path) -> list[Command]:
    """Return the command that lets others train.

    Its workers' work is done once, in minutes, and kept in a folder.
    """
    return [
        Command(
            "calibrate", ["calibrate", run, "--to", "limits.json"], partial(_work, run, kept),
            makes="limits.json", before=partial(worked_once, kept),
        ),
    ]  # fmt: skip


def campaign(
    workdir: Path, chosen: Sequence[Command], count: int | None, scratch: Path, seed: int = 57
) -> Tally:
    """Let every call of every command fail once in every way, or `count` of them at random."""
    _load()
    tally = Tally()
    plans: list[tuple[Command, int, str]] = []
    for command in chosen:
        ready = scratch / "ready" / command.name.replace(" ", "-")
        shutil.copytree(workdir, ready)
        command.ready(ready)
        status, said, names = _call(command, ready, scratch / "victim", None)
        if status != command.status:
            tally.wrong.append(f"{command.name}: exit status {status} without a fault: {said}")
            continue
        tally.points[command.name] = len(names)
        for at, name in enumerate(names):
            ways = ["disk fault"] if name in LOOKS else [*ERRORS]
            ways += [SHORT] if name in ("write", "sendfile", "copy_file_range") else []
            plans += [(command, at, way) for way in ways]
    random.Random(seed).shuffle(plans)
    for command, at, way in plans:
        if tally.tried.total() == count:
            break
        _one(command, at, way, scratch, tally)
    return tally


def _one(command: Command, at: int, way: str, scratch: Path, tally: Tally) -> None:
    victim = scratch / "victim"
    ready = scratch / "ready" / command.name.replace(" ", "-")
    status, said, names = _call(command, ready, victim, (at, way))
    if at >= len(names):  # it made fewer calls than before
        tally.unmet += 1
        return
    where = f"{command.name}, {way} at {names[at]} ({at} of {len(names)})"
    tally.tried[command.name] += 1
    tally.statuses[status] += 1
    if "Traceback" in said or "a fault in" in said:
        tally.wrong.append(f"{where}: {said[-1500:]}")
    if status not in (0, 1, 2, 3):
        tally.wrong.append(f"{where}: exit status {status}")
    if way == SHORT and status != command.status:
        tally.wrong.append(f"{where}: exit status {status}: {said}")
    if status == command.status and command.makes and not (victim / command.makes).is_file():
        tally.wrong.append(f"{where}: said it made {command.makes}, which is not there")
    before = len(verify(Store(ready / "store")).damaged)
    damaged = verify(Store(victim / "store")).damaged
    if len(damaged) > before:
        tally.wrong.append(f"{where}: the store is damaged: {damaged[0]}")
    if status != command.status:
        again, said, _ = _call(command, None, victim, None)
        if again != command.status:
            tally.wrong.append(f"{where}: then, without a fault, exit status {again}: {said}")
    shutil.rmtree(victim)


def _call(
    command: Command, ready: Path | None, victim: Path, fault: tuple[int, str] | None
) -> tuple[int, str, list[str]]:
    """Run a command in a child; return its exit status, what it said, and the calls it made.

    It runs in a copy of `ready`, or where `victim` is as it is.
    """
    if ready is not None:
        shutil.rmtree(victim, ignore_errors=True)
        shutil.copytree(ready, victim)
    said, calls = victim.parent / "said.txt", victim.parent / "calls.txt"
    pid = os.fork()
    if not pid:
        _child(command, victim, fault, said, calls)
    _, waited = os.waitpid(pid, 0)
    text = said.read_text(errors="replace")
    return os.waitstatus_to_exitcode(waited), text, calls.read_text().split()


def _child(
    command: Command, victim: Path, fault: tuple[int, str] | None, said: Path, calls: Path
) -> None:
    status = 99
    report, write = os.open(calls, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), os.write
    try:
        os.chdir(victim)
        os.environ["KHICHDI_STORE"] = str(victim / "store")
        tempfile.tempdir = str(victim)
        command.before(victim)
        screen = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(screen, 1)
        os.dup2(screen, 2)
        points = Points(looks=True, skips=_outside(victim))
        if fault is not None:
            points.at = fault[0]
            points.act = _shortened(points) if fault[1] == SHORT else fail_with(ERRORS[fault[1]])
        points.install()
        status = command.run(list(command.words))
        points.at = None
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        write(report, "\n".join(points.names).encode())
        os._exit(status)


def _shortened(points: Points) -> Callable[[str], None]:
    def act(name: str) -> None:
        points.short = True

    return act


def _outside(folder: Path) -> Callable[[Any], bool]:
    """Say what is not counted: all that is not below a folder."""
    here, readlink = f"{folder}{os.sep}", os.readlink

    def skips(target: Any) -> bool:
        if target is None:
            return True
        if isinstance(target, int):
            try:
                target = readlink(f"/proc/self/fd/{target}")
            except OSError:
                return True
        return not os.path.abspath(os.fsdecode(target)).startswith(here)

    return skips


def _load() -> None:
    """Load what children need before they are forked; none of it starts a thread."""
    load_registry()
    for name in LIBRARIES:
        importlib.import_module(name)
    for name in COMMANDS:
        module = "import_" if name == "import" else name.replace("-", "_")
        importlib.import_module(f"khichdi.cli.{module}")


def _work(run: str, kept: Path, folder: Path) -> None:
    """Let the workers of a calibration work, so that all its further calls are the same."""
    (command,) = calibrating(run, kept)
    _call(command, None, folder, None)
    assert command.makes is not None
    (folder / command.makes).unlink()
