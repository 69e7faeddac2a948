"""A forger at work on a copy of a run: changes one thing and makes everything else agree with it.

Everything that khichdi computes a forger can compute too: seals, keys, recipe hash, digests of
files and contents, counts, losses and scores, the result hash. What cannot be computed without
doing the work again is the work itself: rows from sources, an adapter from rows.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from khichdi.plugins.registry import Registry, load_registry
from khichdi.runtime.audit.artifacts import content_digest
from khichdi.runtime.audit.audited_run import open_claim
from khichdi.runtime.audit.figures import by_plugins, recomputed
from khichdi.runtime.training_states import read_states
from khichdi.schema.calibration import Calibration
from khichdi.schema.digest import digest, file_sha256, manifest_digest
from khichdi.schema.errors import KhichdiError
from khichdi.schema.lock import Lock, Material
from khichdi.schema.plan import Plan, PlanStep, recipe_hash, result_hash, source_key, step_key
from khichdi.schema.record import Output, Record
from khichdi.schema.seal import SEAL, Sealed
from khichdi.schema.training_states import IN_TRACE

from .honest_runs import Honest
from .json_mutants import Place, text_of

LOCK = "recipe/pico.lock"
MODELS: dict[str, type[Sealed]] = {
    "plan.json": Plan, LOCK: Lock, "record.json": Record, "calibration.json": Calibration,
}  # fmt: skip
FIT = (
    ValueError,
    StopIteration,
    KeyError,
    TypeError,
    AttributeError,
    IndexError,
    KhichdiError,
    OSError,
)
"""What comes of making nonsense agree with something: then it stays as it is."""


@cache
def registry() -> Registry:
    """Return the installed plugins."""
    return load_registry()


class Forger:
    """Changes a run and its store.

    Attributes:
        subject: the run to forge, of files that other copies share: they are replaced, not changed.
        values: its sealed documents by name, parsed.
        bundle: the file that is shown to auditors instead of the run's folder; None for the folder.
    """

    def __init__(self, subject: Honest) -> None:
        self.subject = subject
        self.run = subject.run
        self.values = read_documents(subject.run)
        self.bundle: Path | None = None
        self.place: Place = ()

    def meaning(self) -> Any:
        """Return what the documents say: a default that is left out is still said."""
        said = {}
        for name, value in self.values.items():
            try:
                said[name] = MODELS[name].model_validate_json(json.dumps(value)).to_json()
            except ValueError:
                said[name] = value
        return said

    def content(self) -> Any:
        """Return what the documents say of contents, however the files that hold them look."""
        said = self.meaning()
        try:
            for step in said["record.json"]["steps"]:
                for output in step["result"]["outputs"].values():
                    del output["files"], output["manifest"]
        except FIT:
            pass
        return said

    @property
    def record(self) -> Any:
        return self.values["record.json"]

    @property
    def plan(self) -> Any:
        return self.values["plan.json"]

    def step(self, name: str) -> Any:
        """Return a recorded step."""
        return next(step for step in self.record["steps"] if step["name"] == name)

    def replace(self, path: Path, content: bytes) -> None:
        """Write a file that may be shared with other copies."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_bytes(content)

    # ---- documents ----------------------------------------------------------------------

    def seal(self) -> None:
        """Seal the documents and write them; the record names the lock by its seal."""
        for name, value in self.values.items():
            model = MODELS[name]
            if name == LOCK and self.record.get("lock"):
                self.record["lock"] = model._seal(value)
            text = model._text({**value, SEAL: model._seal(value)})
            self.replace(self.run / name, text_of(text).encode())

    def follow(self, first: str, place: Place = ()) -> None:
        """Make plan, lock and record agree with the one that was changed, then keys and hashes."""
        self.place = place
        for agree in (self._materials, self._labels, self._keys, self._results):
            try:
                agree(first)
            except FIT:
                continue

    def _materials(self, first: str) -> None:
        """Pins in plan and lock, and the files that the record says arrived."""
        locked = self.values[LOCK]["materials"]
        for step in self.plan["steps"]:
            name = step["name"]
            if step["kind"] != "source":
                continue
            files = self.step(name)["result"]["outputs"]["files"]["files"]
            if first == LOCK:
                step["material"] = locked.get(name)
            elif first == "record.json" and step["material"] is not None:
                step["material"]["files"] = [{"path": p, **f} for p, f in files.items()]
            locked[name] = step["material"]
            pinned = step["material"]["files"]
            made = {f["path"]: {"size": f["size"], "sha256": f["sha256"]} for f in pinned}
            self.step(name)["result"]["outputs"]["files"]["files"] = made

    def _labels(self, first: str) -> None:
        """Names, versions and seeds, which stand in several documents."""
        by_record, by_lock = first == "record.json", first == LOCK
        winner = self.record if by_record else self.values[LOCK] if by_lock else self.plan
        for value in self.values.values():
            value["recipe"] = winner["recipe"]
        for name in ("seed",) if not by_lock else ():
            self.record[name] = self.plan[name] = winner[name]
        for planned, ran in zip(self.plan["steps"], self.record["steps"], strict=True):
            if by_record:
                planned.update({name: ran[name] for name in ("name", "kind", "seed")})
                planned["plugin"].update(name=ran["plugin"], version=ran["version"])
            else:
                ran.update({name: planned[name] for name in ("name", "kind", "seed")})
                plugin = planned["plugin"]
                ran.update(plugin=plugin["name"], version=plugin["version"])

    def _keys(self, first: str) -> None:
        keys: dict[str, str] = {}
        for value in self.plan["steps"]:
            step = PlanStep.model_validate(value)
            value["key"] = keys[step.name] = key_of(step, keys)
        steps = tuple(PlanStep.model_validate(value) for value in self.plan["steps"])
        self.plan["recipe_hash"] = recipe_hash(steps, self.plan["locked"])
        self.record["recipe_hash"] = self.plan["recipe_hash"]
        for value in self.record["steps"]:
            value["result"]["key"] = keys.get(value["name"], value["result"]["key"])

    def _results(self, first: str) -> None:
        """Manifests, with the folders that they name, metrics and the result hash."""
        for value in self.record["steps"]:
            for output in value["result"]["outputs"].values():
                files = {path: (f["size"], f["sha256"]) for path, f in output["files"].items()}
                made = manifest_digest(files)
                if made != output["manifest"]:
                    old = self.folder(output)
                    output["manifest"] = made
                    self._rename(old, self.folder(output), output["files"])
        of_record = (first, self.place[:1]) == ("record.json", ("metrics",))
        self._metrics(of_record)
        digests = {
            value["name"]: {n: o["digest"] for n, o in value["result"]["outputs"].items()}
            for value in self.record["steps"]
        }
        self.record["result_hash"] = result_hash(digests)

    def _metrics(self, of_record: bool) -> None:
        """Make metrics agree: the record's, those of steps, those that evaluations keep."""
        owners: dict[str, tuple[Any, str]] = {}
        for value in self.record["steps"]:
            told = value["result"]["facts"].get("metrics")
            if value["kind"] in ("runtime", "evaluator"):
                before = value["kind"] == "evaluator" and value["name"].endswith("/base")
                for name in told:
                    key = f"{name}_before" if before else name
                    key = f"{value['plugin']}.{key}" if key in owners else key
                    owners[key] = (told, name)
        for key, (told, name) in owners.items() if of_record else ():
            told.pop(name)
            told |= {name: self.record["metrics"][key]} if key in self.record["metrics"] else {}
        if not of_record:
            made = {key: told[name] for key, (told, name) in owners.items()}
            self.record["metrics"] = made
        for value in self.record["steps"]:
            if value["kind"] == "evaluator":
                told = value["result"]["facts"]["metrics"]
                self.write_values(value["name"], "metrics", told)

    # ---- artifacts ----------------------------------------------------------------------

    def folder(self, output: Any) -> Path:
        """Return where an output's files are."""
        return self.subject.store / "artifacts" / output["manifest"].removeprefix("sha256:")

    @contextmanager
    def staged(self, name: str, output: str) -> Iterator[Path]:
        """Give a copy of an artifact to change; afterwards it is what the step put out."""
        known = self.step(name)["result"]["outputs"][output]
        with tempfile.TemporaryDirectory(dir=self.subject.store) as scratch:
            staged = Path(scratch) / "files"
            shutil.copytree(self.folder(known), staged)
            for path in staged.rglob("*"):
                path.chmod(0o755 if path.is_dir() else 0o644)
            yield staged
            self.adopt(name, output, staged)

    def adopt(self, name: str, output: str, staged: Path) -> None:
        """Make a folder of files what a step put out, with their digests."""
        known = self.step(name)["result"]["outputs"][output]
        found = [path for path in sorted(staged.rglob("*")) if path.is_file()]
        known["files"] = {
            path.relative_to(staged).as_posix(): {
                "size": path.stat().st_size, "sha256": file_sha256(path),
            } for path in found
        }  # fmt: skip
        files = {path: (f["size"], f["sha256"]) for path, f in known["files"].items()}
        known["manifest"] = manifest_digest(files)
        if not self.folder(known).exists():
            shutil.copytree(staged, self.folder(known), copy_function=os.link)
        try:
            known["digest"] = content_digest(Output.model_validate(known), self.folder(known))
        except Exception:  # forged bytes may be beyond reading
            known["digest"] = known["manifest"] if known["kind"] == "files" else known["digest"]
        copy = {"adapter": "adapter", "model": name}.get(output)
        if copy is not None and (self.run / copy).is_dir():
            shutil.rmtree(self.run / copy)
            shutil.copytree(staged, self.run / copy, copy_function=os.link)

    def write_values(self, name: str, output: str, values: Any) -> None:
        """Make JSON values what a step put out."""
        known = self.step(name)["result"]["outputs"][output]
        if known["digest"] == digest("values", values):
            return
        with self.staged(name, output) as staged:
            (staged / "values.json").write_text(json.dumps(values, indent=1, sort_keys=True))

    def follow_artifact(self, name: str, output: str) -> None:
        """Make everything in the documents agree with an artifact that was changed."""
        for agree in (self._commit, self._pin, self._figures):
            try:
                agree(name, output)
            except FIT:
                continue
        self.follow("plan.json")

    def _commit(self, name: str, output: str) -> None:
        """Write the digests of a training's states into its trace."""
        if output != "states":
            return
        outputs = self.step(name)["result"]["outputs"]
        states = read_states(self.folder(outputs["states"]))
        with self.staged(name, "trace") as staged:
            trace = json.loads((staged / "values.json").read_bytes())
            made = {state.step: state.digest() for state in states.bounds}
            for entry in trace:
                entry.pop(IN_TRACE, None)
                entry |= {IN_TRACE: made[entry["step"]]} if entry["step"] in made else {}
            (staged / "values.json").write_text(json.dumps(trace, indent=1, sort_keys=True))

    def _pin(self, name: str, output: str) -> None:
        """Pin the files of a source as they are now."""
        for step in self.plan["steps"]:
            if step["name"] == name and step["kind"] == "source":
                files = self.step(name)["result"]["outputs"][output]["files"]
                step["material"]["files"] = [{"path": p, **f} for p, f in files.items()]

    def _figures(self, name: str, output: str) -> None:
        """Recompute every figure that an audit recomputes, as the audit does."""
        self.follow("plan.json")
        self.seal()
        claim = open_claim(self.run, "run", (self.subject.store,))
        for step in claim.record.steps:
            try:
                found = recomputed(claim, step, by_plugins(registry()))
            except Exception:  # an artifact that was changed may be beyond reading
                continue
            for path, value in found.items():
                facts = self.step(step.name)["result"]["facts"]
                *above, last = path.split(".")
                for part in above:
                    facts = facts.setdefault(part, {})
                facts[last] = value

    def _rename(self, old: Path, new: Path, files: Any) -> None:
        """Lay an artifact's files under the name that follows from its list of them."""
        if old.is_dir() and not new.exists():
            shutil.copytree(old, new, copy_function=os.link)
            for path in [path for path in new.rglob("*") if path.is_file()]:
                if path.relative_to(new).as_posix() not in files:
                    path.unlink()


def key_of(step: PlanStep, keys: dict[str, str]) -> str:
    """Return the key that follows from a planned step and its inputs' keys."""
    if step.kind == "source":
        return source_key(step.plugin, step.material)
    inputs = {role: f"{keys[name]}#{output}" for role, name, output in step.sources()}
    return step_key(step.kind, step.plugin, step.parts, step.settings, inputs, step.seed)


def read_documents(run: Path) -> dict[str, Any]:
    """Return a run's sealed documents, parsed, without their seals; the record last."""
    found = {}
    for name in MODELS:
        if (run / name).is_file():
            found[name] = json.loads((run / name).read_bytes())
            found[name].pop(SEAL)
    return found


def pins(plan: Any) -> dict[str, Material]:
    """Return the pins of a plan by source."""
    steps = [step for step in plan["steps"] if step.get("material")]
    return {step["name"]: Material.model_validate(step["material"]) for step in steps}
