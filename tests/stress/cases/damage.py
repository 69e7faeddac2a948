"""Damages a run's files and its bundle at random, and asks whether it is seen and named."""

from __future__ import annotations

import random
import tarfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from khichdi.runtime.audit.artifacts import audit_artifacts
from khichdi.runtime.audit.audited_run import Claim, open_claim
from khichdi.runtime.bundle.read import unpacked
from khichdi.schema.errors import InputError

KINDS = ("flip", "truncate", "swap")
BLOCK = 512  # of a tar


@dataclass
class Tally:
    """How many damages were tried, by place and kind, and those that were not seen or named."""

    tried: Counter[tuple[str, str]] = field(default_factory=Counter)
    unseen: list[str] = field(default_factory=list)
    unnamed: list[str] = field(default_factory=list)

    def count(self, place: str, kind: str, what: str, said: str | None, names: set[str]) -> None:
        self.tried[place, kind] += 1
        if said is None:
            self.unseen.append(f"{kind} of {what}")
        elif not any(name in said for name in names):
            self.unnamed.append(f"{kind} of {what}: {said}")


def damaged(raw: bytes, kind: str, draw: random.Random) -> tuple[bytes, list[int]]:
    """Return damaged bytes, and where they were damaged."""
    if kind == "truncate":
        length = draw.randrange(len(raw))
        return raw[:length], [length]
    changed = bytearray(raw)
    if kind == "swap":
        for _ in range(100):
            size = draw.randint(1, min(64, len(raw) // 2))
            a, b = sorted(draw.sample(range(len(raw) - size + 1), 2))
            if b - a >= size and raw[a : a + size] != raw[b : b + size]:
                changed[a : a + size], changed[b : b + size] = raw[b : b + size], raw[a : a + size]
                return bytes(changed), [a, b]
    place = draw.randrange(len(raw))
    changed[place] ^= 1 << draw.randrange(8)
    return bytes(changed), [place]


def damage_artifacts(claim: Claim, count: int, seed: int, tally: Tally) -> None:
    """Damage one file of the store at a time, and audit the level that it is at."""
    draw = random.Random(seed)
    files = [
        (level, output, folder / name, name)
        for _, _, output, level in claim.outputs()
        if (folder := claim.artifact(output)) is not None
        for name, file in output.files.items()
        if file.size > 1
    ]
    for number in range(count):
        level, _, path, name = draw.choice(files)
        kind = KINDS[number % 3]
        honest = path.read_bytes()
        path.chmod(0o644)
        path.write_bytes(damaged(honest, kind, draw)[0])
        found = audit_artifacts(claim, level)
        said = found.where if found.verdict == "diverged" else None
        tally.count("artifact", kind, name, said, {f"file {name}"})
        path.write_bytes(honest)


def damage_documents(
    run: Path, stores: tuple[Path, ...], count: int, seed: int, tally: Tally
) -> None:
    """Damage the record, the plan or the lock, and open the run."""
    draw = random.Random(seed)
    paths = [run / "record.json", run / "plan.json", next((run / "recipe").glob("*.lock"))]
    for number in range(count):
        path, kind = draw.choice(paths), KINDS[number % 3]
        honest = path.read_bytes()
        path.write_bytes(damaged(honest, kind, draw)[0])
        said = None
        try:
            open_claim(run, "run", stores)
        except InputError as error:
            said = str(error)
        tally.count("document", kind, path.name, said, {path.name})
        path.write_bytes(honest)


def damage_bundle(bundle: Path, scratch: Path, count: int, seed: int, tally: Tally) -> None:
    """Damage a bundle, and open it."""
    draw = random.Random(seed)
    honest = bundle.read_bytes()
    spans = list(_spans(bundle))
    copy = scratch / "damaged.bundle"
    for number in range(count):
        kind = KINDS[number % 3]
        raw, places = damaged(honest, kind, draw)
        copy.write_bytes(raw)
        said = None
        try:
            with unpacked(copy, str(scratch)):
                pass
        except InputError as error:
            said = str(error)
        names = {name for place in places for name, first, last in spans if first <= place < last}
        if not names:
            names = {"the end"}
        if "bundle.json" in names:
            names.add("it is not a bundle")
        tally.count("bundle", kind, f"{copy.name} at {places}", said, names)


def _spans(bundle: Path) -> Iterator[tuple[str, int, int]]:
    """Yield each member with the bytes that are its own, header and padding included."""
    with tarfile.open(bundle) as archive:
        for member in archive:
            last = member.offset_data + -(-member.size // BLOCK) * BLOCK
            yield member.name, member.offset, last
