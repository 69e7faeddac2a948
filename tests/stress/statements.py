"""Forge the documents that stand beside a run, field by field, and have each read.

    python -m tests.stress.statements [MUTANTS]

They are the calibration, the attestation, an audit's statement, and the envelopes of both. Every
field is changed, deleted, added, given twice or swapped with another run's. Then the document is
sealed or signed again, as far as its forger can: with no key (the signatures stay), with a
stranger's, with the trainer's own, or by handing the auditor an edited statement to sign. A mutant
that is read and verified all the same is accepted: a fault of khichdi, unless its field stands in
`UNDERIVED`, with the reason.
"""

from __future__ import annotations

import base64
import json
import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from khichdi.runtime.audit.audit import audit
from khichdi.runtime.audit.audited_run import Claim, open_claim
from khichdi.runtime.calibration.calibration_file import read_calibration
from khichdi.runtime.calibration.thresholds import derive
from khichdi.runtime.signing.audit_statement import (
    audit_statement,
    sign_audit,
    statement_text,
    verify_audit,
)
from khichdi.runtime.signing.signing import ATTESTATION, SignatureError, add_signature, sign, verify
from khichdi.schema.calibration import Calibration
from khichdi.schema.errors import KhichdiError
from khichdi.schema.seal import SEAL

from ..helpers.calibrations import calibration
from ..helpers.signing_keys import write_key
from .cases.audit_ladder import lower_by_installed
from .cases.honest_runs import Honest, cook
from .cases.json_mutants import Mutant, mutants_of, mutate, text_of

UNDERIVED = {
    r"^calibration \(\w+\) samples\b": "measured by its maker, whose signature covers it",
    r"^calibration \(\w+\) (recipe|result_hash|device|probes|answers)$": "a label or a count of "
    "its maker, whose signature covers it",
    r"^statement \(asked\) predicate\.configuration\.\d+\.(uri|annotations\.)": "what the auditor "
    "did, which only the auditor knows who signs it",
    r"^statement \(asked\) predicate\.(passed|warned|failed)Tests\.\d+$": "what the auditor found "
    "at a level, where it agrees with the result and an audit of bytes",
}
"""Fields that no reader derives, by `document (depth) place`, and why."""
COLUMNS = ("refused", "signature", "not covered")


@dataclass
class Table:
    """What became of the mutants.

    Attributes:
        found: by document, what was made to fit, and what found it, how many.
        reasons: by reason, how many no reader can find.
        accepted: those that were read and verified, or that ended in a fault.
    """

    found: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    accepted: list[str] = field(default_factory=list)

    def text(self) -> str:
        """Return the table."""
        lines = [f"{'document':<13}{'depth':<11}" + "".join(f"{name:>13}" for name in COLUMNS)]
        for document, depth in sorted({place[:2] for place in self.found}):
            counts = "".join(f"{self.found[document, depth, name]:>13,}" for name in COLUMNS)
            lines.append(f"{document:<13}{depth:<11}{counts}")
        lines += [f"{count:>7,}  {why}" for why, count in self.reasons.most_common()]
        total = self.found.total() + len(self.accepted)
        lines.append(f"mutants {total:,}, accepted {len(self.accepted):,}")
        return "\n".join([*lines, *(f"ACCEPTED {one}" for one in self.accepted)])


class Desk:
    """An honest run with its documents, and another one's to swap fields with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.honest, other = cook(folder, "one file")
        self.stranger = Path(write_key(folder, "stranger")[0])
        self.claim = self._claim(self.honest)
        self.found = audit(self.claim, lower_by_installed, "plan")
        self.calibration_file = self.honest.run / "calibration.json"
        self.others, self.values = self._documents(other), self._documents(self.honest)
        self.envelopes = {
            "attestation": (self.honest.run / ATTESTATION).read_text(),
            "statement": (folder / "statement.json").read_text(),
        }
        self._kept = self.calibration_file.read_text()

    def _claim(self, run: Honest) -> Claim:
        return open_claim(run.run, "run", (run.store,))

    def _documents(self, run: Honest) -> dict[str, Any]:
        """Calibrate, sign and audit a run, and return what the documents say."""
        claim, statement = self._claim(run), self.folder / "statement.json"
        told = {"recipe_hash": claim.record.recipe_hash, "result_hash": claim.record.result_hash}
        scale = 1.0 if run is self.honest else 1.5
        limits = calibration(scale, **told, version=claim.plan.step("train").plugin.version)
        (run.run / "calibration.json").write_text(limits.to_text())
        sign(claim, run.key)
        report = audit(claim, lower_by_installed)
        statement.write_text(statement_text(audit_statement(claim, report)))
        stated = json.loads(statement.read_text())
        sign_audit(claim, statement, run.key, report)
        attestation = json.loads((run.run / ATTESTATION).read_text())
        envelope = json.loads(statement.read_text())
        signed = {"attestation": payload_of(attestation), "statement": stated}
        value = json.loads(limits.to_text())
        value.pop(SEAL)
        return {"calibration": value, **signed, "envelope": envelope}

    # ---- mutants ------------------------------------------------------------------------

    def mutants(self) -> Iterator[Mutant]:
        """Yield every mutant of every document, at every depth."""
        for target, depths in DEPTHS.items():
            for depth in depths:
                yield from mutants_of("beside", depth, target, self.values[target])

    def try_one(self, mutant: Mutant) -> Callable[[], object] | None:
        """Lay out a mutant, and return what reads it; None where nothing was changed."""
        value = json.loads(json.dumps(self.values[mutant.target]))
        if not mutate(value, self.others[mutant.target], mutant.kind, mutant.place):
            return None
        lay_out: dict[str, Callable[[str, Any], Callable[[], object] | None]] = {
            "calibration": self._calibration,
            "attestation": self._attestation,
            "statement": self._statement,
            "envelope": self._envelope,
        }
        return lay_out[mutant.target](mutant.depth, value)

    def _calibration(self, depth: str, value: Any) -> Callable[[], object] | None:
        if depth == "followed":
            try:
                made = Calibration.model_validate_json(json.dumps(value))
                value["found"] = derive(made.samples, made.answers).to_json()
            except (ValueError, TypeError, ArithmeticError, LookupError):
                return None  # no limits follow from such samples
            if value == self.values["calibration"]:
                return None
        text = text_of(Calibration._text({**value, SEAL: Calibration._seal(value)}))
        self.calibration_file.write_text(text)
        (self.honest.run / ATTESTATION).write_text(self.envelopes["attestation"])
        return lambda: read_calibration(self.calibration_file, self.claim)

    def verify_run(self) -> None:
        """Verify the run's signature, which covers its calibration."""
        verify(self.claim, [self.honest.public])

    def _attestation(self, depth: str, value: Any) -> Callable[[], object]:
        self.calibration_file.write_text(self._kept)
        self._sign(self.honest.run / ATTESTATION, "attestation", depth, value)
        return lambda: verify(self.claim, [self.honest.public])

    def _statement(self, depth: str, value: Any) -> Callable[[], object]:
        path = self.folder / "statement.json"
        if depth == "asked":
            path.write_text(text_of(json.dumps(value, indent=1, sort_keys=True)) + "\n")
            return lambda: sign_audit(self.claim, path, self.honest.key, self.found)
        self._sign(path, "statement", depth, value)
        return lambda: verify_audit(self.claim, path, [self.honest.public])

    def _envelope(self, depth: str, value: Any) -> Callable[[], object]:
        path = self.folder / "statement.json"
        path.write_text(text_of(json.dumps(value, indent=1, sort_keys=True)) + "\n")
        return lambda: verify_audit(self.claim, path, [self.honest.public])

    def _sign(self, path: Path, name: str, depth: str, value: Any) -> None:
        """Put a payload into an envelope, with the signatures that its forger can give it."""
        raw = text_of(json.dumps(value, sort_keys=True, separators=(",", ":"))).encode()
        envelope = json.loads(self.envelopes[name])
        if depth != "kept":
            path.unlink(missing_ok=True)
            key = self.honest.key if depth == "insider" else self.stranger
            add_signature(path, raw, key, known=False)
            made = json.loads(path.read_text())
            if depth == "insider":
                return
            made["signatures"][0]["keyid"] = envelope["signatures"][0]["keyid"]
            envelope = made
        envelope["payload"] = base64.b64encode(raw).decode()
        path.write_text(json.dumps(envelope, indent=1, sort_keys=True) + "\n")


DEPTHS = {
    "calibration": ("alone", "followed"),
    "attestation": ("kept", "stranger", "insider"),
    "statement": ("kept", "stranger", "asked"),
    "envelope": ("kept",),
}
"""By document, what its forger makes fit."""


def payload_of(envelope: Any) -> Any:
    """Return the statement in an envelope."""
    return json.loads(base64.b64decode(envelope["payload"]))


def campaign(folder: Path, count: int | None = None, seed: int = 0) -> Table:
    """Read so many mutants, of each document as many; without a number, all."""
    desk, table = Desk(folder), Table()
    heaps: dict[tuple[str, str], list[Mutant]] = {}
    for mutant in desk.mutants():
        heaps.setdefault((mutant.target, mutant.depth), []).append(mutant)
    for heap in heaps.values():
        random.Random(seed).shuffle(heap)
        for mutant in heap if count is None else heap[: -(-count // len(heaps))]:
            _try(desk, mutant, table)
    return table


def _try(desk: Desk, mutant: Mutant, table: Table) -> None:
    place = f"{mutant.target} ({mutant.depth}) {'.'.join(map(str, mutant.place))}"
    told = f"{mutant.kind} {place}"
    reads = desk.try_one(mutant)
    if reads is None:
        return
    by = _found_by(reads, table, told)
    why = ""
    if by is None:
        why = next((why for one, why in UNDERIVED.items() if re.search(one, place)), "")
        signed = mutant.target != "calibration" or _found_by(desk.verify_run, table, told)
        by = "not covered" if why and signed else None
        if by is not None:
            table.reasons[why] += 1
    if by is None:
        table.accepted.append(told)
    elif by != "fault":
        table.found[mutant.target, mutant.depth, by] += 1


def _found_by(reads: Callable[[], object], table: Table, told: str) -> str | None:
    """Return what found a mutant; None where it was read as if it were honest."""
    try:
        reads()
    except SignatureError:
        return "signature"
    except KhichdiError as error:
        if error.status in (1, 2):
            return "refused"
        table.accepted.append(f"{told}: FAULT {error}")
        return "fault"
    except Exception as error:  # no document is to give a traceback
        table.accepted.append(f"{told}: FAULT {type(error).__name__}: {error}")
        return "fault"
    return None


def main() -> int:
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="statements-") as folder:
        table = campaign(Path(folder), int(sys.argv[1]) if len(sys.argv) > 1 else None)
    print(f"{table.text()}\n{time.monotonic() - start:,.0f} s")
    return int(bool(table.accepted))


if __name__ == "__main__":
    raise SystemExit(main())
