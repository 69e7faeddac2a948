"""Fuzz the readers of every document of others, with the structure of the document in view.

    python -m tests.stress.fuzz [EXECUTIONS] [SEED]

An honest run's record, plan, lock, bundle, calibration, attestation and audit statement are mutated
a few times over (values of other types, numbers and texts at the limits, keys twice, deep nests,
places that lead elsewhere), sealed again, and read. Each has to be read or refused: an exception,
or a fault of khichdi's own, is a failure. Memory has to stay bounded.
"""

from __future__ import annotations

import json
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from khichdi.project.audit_target import open_target
from khichdi.runtime.audit.audit import audit
from khichdi.runtime.audit.audited_run import Claim, open_claim
from khichdi.runtime.bundle.read import check_contents, unpacked
from khichdi.runtime.bundle.tar_format import laid_out
from khichdi.runtime.bundle.write import bundle
from khichdi.runtime.calibration.calibration_file import read_calibration
from khichdi.runtime.signing.audit_statement import audit_statement, sign_audit, statement_text
from khichdi.runtime.signing.signing import ATTESTATION, sign, verify
from khichdi.schema.bundle import CONTENTS, Contents
from khichdi.schema.calibration import Calibration
from khichdi.schema.errors import KhichdiError
from khichdi.schema.seal import SEAL, Sealed

from ..helpers.calibrations import calibration
from .cases.audit_ladder import lower_by_installed
from .cases.forger import LOCK, MODELS
from .cases.honest_runs import clone, cook
from .cases.json_mutants import KINDS, mutate, places, text_of

DEEP: Any = json.loads("[" * 200 + "]" * 200)
ODD: tuple[Any, ...] = (
    None, True, 0, -1, 2**53, 2**63, -(2**70), 10**400, 1e308, -0.0, float("inf"), float("nan"),
    "", " ", "\x00", "\x1b[2J", "\u202e", "\ud800", "../../etc/passwd", "/etc/passwd",
    "a" * 100_000, "#", "train#", "#x", "sha256:", "sha256:" + "0" * 64, [], {}, [[]], {"": {}},
    DEEP, ["x"] * 3_000,
)  # fmt: skip
"""Values at the limits of what JSON, a path, a reference or a number can be."""
MUTATIONS = (1, 1, 1, 2, 4)
"""How many mutations of one document are drawn from."""
NAMES = ("", "a/../b", "\x00", "x" * 300, "extra")
AUDITED = 0.5
"""The share of the records, plans and locks that can be read which are audited as well."""
MEMORY = 512 << 20
"""What peak memory may grow by, in bytes."""


@dataclass
class Fuzzed:
    """What came of it: by reader, how many were read and refused; faults; growth of memory."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    slowest: float = 0.0
    grown: int = 0

    def text(self) -> str:
        """Return the table."""
        lines = [f"{'reader':<16}{'read':>8}{'refused':>9}"]
        for reader in sorted({reader for reader, _ in self.counts}):
            read, refused = (self.counts[reader, what] for what in ("read", "refused"))
            lines.append(f"{reader:<16}{read:>8,}{refused:>9,}")
        lines.append(
            f"executions {self.counts.total() + len(self.faults):,}, faults {len(self.faults)}, "
            f"slowest {self.slowest:.1f} s, peak memory grew by {self.grown >> 20} MiB"
        )
        return "\n".join(lines + [f"FAULT {fault}" for fault in self.faults[:50]])


def peak_memory(*, reset: bool = False) -> int:
    """Return the most memory that this process had, in bytes; from now on where it can be reset."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) << 10


class Fuzzer:
    """Mutates an honest run's documents and has them read."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.chance = random.Random(seed)
        self.honest, _ = cook(folder, "one file")
        self.folder = folder
        self.run = clone(self.honest, folder / "fuzzed" / "store").run
        with open_target(self.honest.run) as claim:
            sign(claim, self.honest.key)
            report = audit(claim, lower_by_installed)
            self.statement = json.loads(statement_text(audit_statement(claim, report)))
            bundle(claim, folder / "honest.bundle", states=False)
            hashes = {"recipe_hash": claim.record.recipe_hash, "recipe": "pico"}
            self.calibration = json.loads(calibration(**hashes).model_dump_json())
        with unpacked(folder / "honest.bundle") as (inside, contents):
            self.contents = json.loads(contents.model_dump_json())
            self.members = {name: (inside / name).read_bytes() for name in contents.files}
        self.texts = {name: (self.honest.run / name).read_bytes() for name in (*MODELS, ATTESTATION)
                      if (self.honest.run / name).is_file()}  # fmt: skip
        self.readers: dict[str, Callable[[], None]] = {
            "record": lambda: self._document("record.json"),
            "plan": lambda: self._document("plan.json"),
            "lock": lambda: self._document(LOCK),
            "bundle": self._bundle,
            "bundle bytes": self._bundle_bytes,
            "calibration": self._calibration,
            "attestation": self._attestation,
            "statement": self._statement,
        }

    def fuzz(self, executions: int) -> Fuzzed:
        """Read so many mutants, each reader as many."""
        found, names = Fuzzed(), list(self.readers)
        before = peak_memory(reset=True)
        for number in range(executions):
            if number % 1_000 == 999:
                print(f"{number + 1:,} executions", file=sys.stderr, flush=True)
            name, start = names[number % len(names)], time.monotonic()
            try:
                self.readers[name]()
                found.counts[name, "read"] += 1
            except KeyboardInterrupt:
                break  # interrupted, it reports as far as it got
            except KhichdiError as error:
                if error.status in (1, 2):
                    found.counts[name, "refused"] += 1
                else:
                    found.faults.append(f"{name} {number}: {error}")
            except Exception as error:  # no text of others is to give a traceback
                found.faults.append(f"{name} {number}: {type(error).__name__}: {error}"[:500])
            found.slowest = max(found.slowest, time.monotonic() - start)
        found.grown = peak_memory() - before
        return found

    # ---- mutating ---------------------------------------------------------------------------

    def _mutated(self, value: Any) -> Any:
        """Return a copy of a JSON value, mutated a few times over."""
        value = json.loads(json.dumps(value))
        for _ in range(self.chance.choice(MUTATIONS)):
            place = self.chance.choice([place for place in places(value) if place])
            parent = value
            for part in place[:-1]:
                parent = parent[part]
            if self.chance.random() < 0.4:
                parent[place[-1]] = deepcopy(self.chance.choice(ODD))
            elif self.chance.random() < 0.2 and isinstance(parent, dict):
                parent[self.chance.choice(NAMES)] = deepcopy(self.chance.choice(ODD))
            else:
                kind = self.chance.choice(KINDS)
                if kind != "add" or isinstance(parent[place[-1]], dict | list):
                    mutate(value, value, kind, place)
        return value

    def _text(self, model: type[Sealed], value: Any) -> bytes:
        """Return a sealed text, as far as it can be sealed; now and then with a byte changed."""
        try:
            seal = model._seal(value)
        except (KhichdiError, ValueError, RecursionError):
            seal = "sha256:" + "0" * 64
        raw = text_of(model._text({**value, SEAL: seal})).encode("utf-8", "surrogatepass")
        if self.chance.random() < 0.1:
            at = self.chance.randrange(len(raw))
            raw = raw[:at] + bytes([self.chance.randrange(256)]) + raw[at + 1 :]
        return raw

    # ---- reading ----------------------------------------------------------------------------

    def _put(self, name: str, raw: bytes) -> None:
        path = self.run / name
        path.unlink(missing_ok=True)
        path.write_bytes(raw)

    def _claim(self) -> Claim:
        return open_claim(self.run, "fuzzed", (self.run.parent.parent,))

    def _document(self, name: str) -> None:
        value = json.loads(self.texts[name])
        value.pop(SEAL)
        try:
            self._put(name, self._text(MODELS[name], self._mutated(value)))
            claim = self._claim()
            if self.chance.random() < AUDITED:
                audit(claim, lower_by_installed)
        finally:
            self._put(name, self.texts[name])

    def _bundle(self) -> None:
        contents = self._mutated(self.contents)
        self._open(self._laid_out(self._text(Contents, contents)))

    def _bundle_bytes(self) -> None:
        raw = bytearray(self._laid_out(Contents.model_validate(self.contents).to_text().encode()))
        for _ in range(self.chance.choice(MUTATIONS)):
            early = min(len(raw), 100_000)  # where the table of contents is
            at = self.chance.randrange(early if self.chance.random() < 0.7 else len(raw))
            way = self.chance.randrange(3)
            if way == 0:
                raw[at] = self.chance.randrange(256)
            elif way == 1:
                del raw[at : at + self.chance.choice((1, 512, 10_000, len(raw)))]
            else:
                raw[at:at] = self.chance.randbytes(self.chance.choice((1, 512)))
            if not raw:
                break
        self._open(bytes(raw))

    def _laid_out(self, contents: bytes) -> bytes:
        return b"".join(laid_out([(CONTENTS, contents), *self.members.items()]))

    def _open(self, raw: bytes) -> None:
        path = self.folder / "fuzzed.bundle"
        path.write_bytes(raw)
        with unpacked(path) as (folder, contents):
            check_contents(contents, open_claim(folder, "fuzzed", (folder,)))

    def _calibration(self) -> None:
        raw = self._text(Calibration, self._mutated(self.calibration))
        path = self.folder / "calibration.json"
        path.write_bytes(raw)
        read_calibration(path, self._claim())

    def _attestation(self) -> None:
        value = self._mutated(json.loads(self.texts[ATTESTATION]))
        text = text_of(json.dumps(value, indent=1, sort_keys=True) + "\n")
        try:
            self._put(ATTESTATION, text.encode("utf-8", "surrogatepass"))
            verify(self._claim(), [self.honest.public])
        finally:
            self._put(ATTESTATION, self.texts[ATTESTATION])

    def _statement(self) -> None:
        text = text_of(json.dumps(self._mutated(self.statement), indent=1, sort_keys=True) + "\n")
        path = self.folder / "statement.json"
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        claim = self._claim()
        sign_audit(claim, path, self.honest.key, audit(claim, lower_by_installed, "plan"))


def fuzz(folder: Path, executions: int, seed: int = 0) -> Fuzzed:
    """Cook a run in a folder, and read so many mutants of its documents."""
    return Fuzzer(folder, seed).fuzz(executions)


def main() -> int:
    words = [int(word) for word in sys.argv[1:]]
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        found = fuzz(Path(folder), *(words or [20_000]))
    print(found.text())
    return int(bool(found.faults) or found.grown > MEMORY)


if __name__ == "__main__":
    raise SystemExit(main())
