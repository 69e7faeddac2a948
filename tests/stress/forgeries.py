"""Mutate every field and file of an honest run, seal everything again, and audit the result.

A mutant changes, deletes, adds, duplicates or swaps one thing; then seals, manifests, keys and the
result hash are made to fit. An audit must refuse it, find it diverged, or name the figure as
claimed. What is neither stands in `NOT_COVERED`, with its reason.

    python -m tests.stress.forgeries RUN STORE [OTHER_RUN] [MUTANTS]
"""

from __future__ import annotations

import copy
import json
import random
import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from khichdi.plugins.registry import load_registry
from khichdi.project.recompile import lower_again
from khichdi.runtime.audit.audit import audit
from khichdi.runtime.audit.audited_run import Claim, open_claim
from khichdi.runtime.audit.figures import by_plugins
from khichdi.schema.audit import AuditReport
from khichdi.schema.digest import file_sha256, manifest_digest
from khichdi.schema.errors import KhichdiError
from khichdi.schema.lock import Lock
from khichdi.schema.plan import Plan, PlanStep, result_hash, source_key, step_key
from khichdi.schema.plan import recipe_hash as hash_of
from khichdi.schema.record import Record
from khichdi.schema.seal import SEAL, Sealed

MODELS: dict[str, type[Sealed]] = {"record.json": Record, "plan.json": Plan}
NOT_COVERED = {
    r"record\.json (started|seconds|estimate)": "when the run was, and how long it took",
    r"record\.json steps\.\d+\.(seconds|status)": "how long a step took, and whether it was cached",
    r"record\.json steps\.\d+\.result\.(measured|environment)": "times, memory and machine",
    r"record\.json installed": "distributions that no plugin of the plan comes from",
    r"record\.json bound$": "the record's copy of the recipe, compiled from its files instead",
    r"\.lock (plugins|language)": "what was installed when the lock was made",
    r"plan\.json steps\.\d+\.(plugin|parts\.\w+)\.(params|operational|version)": (
        "operational parameters, and the version of a source's plugin, move no result"
    ),
    r"file (loss\.png|log\.txt)": "a picture and a log, which no signature covers",
}
"""Fields and files that may differ unnoticed, and why."""

Change = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class Mutant:
    """One forgery: a kind of change at a place, such as `change record.json metrics.eval_loss`."""

    kind: str
    document: str
    place: tuple[str | int, ...]

    @property
    def where(self) -> str:
        """Return the place in words."""
        return f"{self.document} {'.'.join(map(str, self.place))}"


@dataclass
class Table:
    """What became of the mutants."""

    found: Counter[tuple[str, str]] = field(default_factory=Counter)
    accepted: list[Mutant] = field(default_factory=list)

    def text(self) -> str:
        """Return the table: kind of change, what found it, how many."""
        lines = [
            f"{kind:<10} {by:<28} {count:>6,}" for (kind, by), count in sorted(self.found.items())
        ]
        total = sum(self.found.values()) + len(self.accepted)
        lines += [f"mutants {total:,}, accepted {len(self.accepted):,}"]
        return "\n".join(lines + [f"ACCEPTED {one.kind} {one.where}" for one in self.accepted[:50]])


# ---- mutants --------------------------------------------------------------------------------


def mutants(run: Path) -> list[Mutant]:
    """Return every mutant of a run's documents and files."""
    found = []
    for name in documents(run):
        for place in _places(json.loads((run / name).read_bytes()), ()):
            found += [
                Mutant(kind, name, place) for kind in ("change", "delete", "duplicate", "swap")
            ]
        found.append(Mutant("add", name, ()))
    for path in sorted(run.rglob("*")):
        if path.is_file():
            name = path.relative_to(run).as_posix()
            found += [Mutant(kind, "file", (name,)) for kind in ("change", "delete", "add")]
    return found


def documents(run: Path) -> list[str]:
    """Return the sealed documents of a run."""
    return [*MODELS, *(f"recipe/{path.name}" for path in (run / "recipe").glob("*.lock"))]


def _places(value: Any, place: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for name, item in pairs:
        if name == SEAL and not place:
            continue
        yield (*place, name)
        if isinstance(item, dict | list):
            yield from _places(item, (*place, name))


def mutate(value: Any, other: Any, mutant: Mutant) -> bool:
    """Apply a mutant to a parsed document; return whether anything changed."""
    if mutant.kind == "add":
        value["extra"] = 1
        return True
    parent, last = value, mutant.place[-1]
    for part in mutant.place[:-1]:
        parent = parent[part]
        other = _get(other, part)
    before = copy.deepcopy(parent)
    if mutant.kind == "delete":
        del parent[last]
    elif mutant.kind == "duplicate" and isinstance(parent, list):
        parent.append(copy.deepcopy(parent[last]))
    elif mutant.kind == "swap" and _get(other, last) is not None:
        parent[last] = copy.deepcopy(_get(other, last))
    elif mutant.kind == "change":
        parent[last] = _another(parent[last])
    return json.dumps(before) != json.dumps(parent)


def _get(value: Any, part: str | int) -> Any:
    try:
        return value[part]
    except (KeyError, IndexError, TypeError):
        return None


def _another(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, str):
        digest = re.fullmatch(r"sha256:[0-9a-f]{64}", value)
        return value[:-1] + ("0" if value[-1] != "0" else "1") if digest else f"{value}x"
    return {} if isinstance(value, dict) else [] if isinstance(value, list) else "x"


# ---- sealing again --------------------------------------------------------------------------


def fit(values: dict[str, Any]) -> None:
    """Make everything in the documents agree that can be made to agree; stop at nonsense."""
    record, plan = values["record.json"], values["plan.json"]
    try:
        keys: dict[str, str] = {}
        for value in plan["steps"]:
            step = PlanStep.model_validate(value)
            value["key"] = keys[step.name] = _key(step, keys)
        steps = tuple(PlanStep.model_validate(value) for value in plan["steps"])
        plan["recipe_hash"] = record["recipe_hash"] = hash_of(steps, plan["locked"])
        for value in record["steps"]:
            value["result"]["key"] = keys.get(value["name"], value["result"]["key"])
            for output in value["result"]["outputs"].values():
                files = {path: (f["size"], f["sha256"]) for path, f in output["files"].items()}
                output["manifest"] = manifest_digest(files)
        outputs = {value["name"]: value["result"]["outputs"] for value in record["steps"]}
        digests = {s: {n: o["digest"] for n, o in named.items()} for s, named in outputs.items()}
        record["result_hash"] = result_hash(digests)
    except (ValueError, KeyError, TypeError, AttributeError):
        return


def _key(step: PlanStep, keys: dict[str, str]) -> str:
    if step.kind == "source":
        return source_key(step.plugin, step.material)
    inputs = {role: f"{keys[name]}#{output}" for role, name, output in step.sources()}
    return step_key(step.kind, step.plugin, step.parts, step.settings, inputs, step.seed)


def write(run: Path, values: dict[str, Any]) -> None:
    """Seal the documents and write them; the record names the lock by its seal."""
    for name in sorted(values, key=lambda name: name == "record.json"):
        model = MODELS.get(name, Lock)
        if model is Lock and "lock" in values["record.json"]:
            values["record.json"]["lock"] = model._seal(values[name])
        text = model._text({**values[name], SEAL: model._seal(values[name])})
        (run / name).write_text(text)


# ---- auditing -------------------------------------------------------------------------------


class Campaign:
    """Mutates copies of one honest run, and audits each."""

    def __init__(self, run: Path, store: Path, other: Path | None = None) -> None:
        self.run, self.store, self.other = run, store, other or run
        self.registry = load_registry()
        self.honest = self.audit(run)
        assert self.honest.verdict == "identical", self.honest.where

    def audit(self, run: Path) -> AuditReport:
        """Audit documents and bytes."""

        def lower(claim: Claim) -> Any:
            return lower_again(claim, self.registry)

        claim = open_claim(run, run.name, (self.store,))
        return audit(claim, lower, None, self._installed, by_plugins(self.registry))

    def _installed(self, claim: Claim) -> Any:
        return self.registry.distributions(claim.plan) if claim.plan else ()

    def judge(self, mutant: Mutant, folder: Path) -> str | None:
        """Return what found a mutant, `nothing changed`, or None where it was accepted."""
        shutil.copytree(self.run, folder)
        if not (self._file if mutant.document == "file" else self._document)(mutant, folder):
            return "nothing changed"
        try:
            report = self.audit(folder)
        except KhichdiError:
            return "refused"
        if report.verdict == "diverged":
            return f"diverged at {next(x.level for x in report.levels if x.verdict == 'diverged')}"
        if self._remarks(report) != self._remarks(self.honest):
            return "reported"
        figure = self._figure(mutant)
        if figure and any(figure in level.claimed for level in report.levels):
            return "named as claimed"
        covered = any(re.search(pattern, mutant.where) for pattern in NOT_COVERED)
        return "not covered" if covered else None

    def _remarks(self, report: AuditReport) -> Any:
        return [(level.level, level.verdict, level.claimed) for level in report.levels]

    def _figure(self, mutant: Mutant) -> str | None:
        """Return how a report names the figure that a mutant changed."""
        place = mutant.place
        if mutant.document != "record.json" or place[:1] != ("steps",) or "facts" not in place:
            return None
        steps = json.loads((self.run / "record.json").read_bytes())["steps"]
        return f"{steps[int(place[1])]['name']} {'.'.join(map(str, place[4:]))}"

    def _document(self, mutant: Mutant, folder: Path) -> bool:
        names = documents(folder)
        values = {name: json.loads((folder / name).read_bytes()) for name in names}
        for value in values.values():
            value.pop(SEAL)
        other = self.other / mutant.document
        beside = json.loads(other.read_bytes()) if other.is_file() else {}
        if not mutate(values[mutant.document], beside, mutant):
            return False
        fit(values)
        if self._same(mutant.document, values[mutant.document]):
            return False  # a default left out, or a value that was made to fit again
        write(folder, values)
        return True

    def _same(self, name: str, value: Any) -> bool:
        model = MODELS.get(name, Lock)
        try:
            found = model.model_validate_json(json.dumps(value))
        except ValueError:
            return False
        return found == model.from_json((self.run / name).read_bytes(), name)

    def _file(self, mutant: Mutant, folder: Path) -> bool:
        path = folder / str(mutant.place[0])
        if path.name in documents(folder) or path.suffix == ".lock":
            return False  # mutated field by field
        if mutant.kind == "delete":
            path.unlink()
        elif mutant.kind == "add":
            path.with_name(f"{path.name}.bin").write_bytes(b"\x80\x04.")
        else:
            raw = bytearray(path.read_bytes() or b" ")
            raw[len(raw) // 2] ^= 1
            path.write_bytes(raw)
            self._recipe_sha(mutant, folder, path)
        return True

    def _recipe_sha(self, mutant: Mutant, folder: Path, path: Path) -> None:
        """Make the record's digest of a recipe file fit it."""
        value = json.loads((folder / "record.json").read_bytes())
        value.pop(SEAL)
        for file in value["files"]:
            if f"recipe/{file['path']}" == mutant.place[0]:
                file["sha256"] = file_sha256(path)
        (folder / "record.json").write_text(Record._text({**value, SEAL: Record._seal(value)}))


def campaign(run: Path, store: Path, other: Path | None, cases: int, seed: int = 0) -> Table:
    """Audit so many mutants, drawn without replacement; all of them where there are no more."""
    found, table, chosen = Campaign(run, store, other), Table(), mutants(run)
    random.Random(seed).shuffle(chosen)
    with tempfile.TemporaryDirectory() as scratch:
        for number, mutant in enumerate(chosen[:cases]):
            folder = Path(scratch) / str(number)
            by = found.judge(mutant, folder)
            if by is None:
                table.accepted.append(mutant)
            elif by != "nothing changed":
                table.found[mutant.kind, by] += 1
            shutil.rmtree(folder)
    return table


if __name__ == "__main__":
    folders = [Path(word) for word in sys.argv[1:] if not word.isdecimal()]
    count = int(sys.argv[-1]) if sys.argv[-1].isdecimal() else 3_000
    done = campaign(folders[0], folders[1], folders[2] if len(folders) > 2 else None, count)
    print(done.text())
    raise SystemExit(bool(done.accepted))
