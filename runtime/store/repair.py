"""Repair a store: restore damaged files, or remove them and the results that name them.

Bytes come from another copy in the store (an artifact with the same file, a run's folder), else
from where a source was fetched. The repaired artifact replaces the damaged one in one
step, so no good byte is ever missing. A result that cannot be read comes back from a run's record.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ...schema.digest import file_sha256
from ...schema.errors import InputError, KhichdiError
from ...schema.plan import Plan, PlanStep
from ...schema.record import FileDigest, Output, StepResult
from .gc_and_verify import run_results
from .runs import PLAN
from .store import Store

Fetch = Callable[[PlanStep, Path], None]


@dataclass(frozen=True)
class Repaired:
    """One thing that was damaged: which step's, what was done, and from where or why."""

    step: str
    what: Literal["restored", "fetched", "removed"]
    how: str


@dataclass
class Repair:
    """Mends a store; `fetch` downloads a source's pinned files into a folder, else raises."""

    store: Store
    fetch: Fetch
    repaired: list[Repaired] = field(default_factory=list)
    steps: dict[str, PlanStep] = field(default_factory=dict)

    def run(self) -> list[Repaired]:
        """Repair or remove everything damaged; list each repair.

        Raises:
            StoreError: the store cannot be written.
        """
        self.steps = _planned(self.store)
        known = {result.key: result for result in run_results(self.store)}
        results = known | {
            key: found for key in self.store.result_keys() if (found := self.store.recorded(key))
        }
        outputs = {o.manifest: o for result in results.values() for o in result.outputs.values()}
        damaged = self.store.check_all(outputs.values(), every=True)
        lost = {manifest for manifest in outputs if damaged[manifest]}
        for manifest in sorted(lost):
            users = [r for r in results.values() if manifest in r.manifests()]
            if not any(self.store.result_path(user.key).exists() for user in users):
                continue  # only old runs name it, and no step would look for it
            if self._repair(outputs[manifest], users):
                lost.discard(manifest)
        for key in self.store.result_keys():
            if self.store.recorded(key) is None:
                self._result_again(key, known.get(key), lost)
        return self.repaired

    def _repair(self, output: Output, users: list[StepResult]) -> bool:
        """Repair an artifact, or remove it with the results that refer to it; return which."""
        name = self._name(users[0].key)
        with self.store.staging() as staging:
            folder = staging / "repaired"
            folder.mkdir()
            try:
                fetched, copies = self._collect(output, users, folder)
                whole = self.store.publish(folder, output.kind, output.digest)
                if whole.manifest == output.manifest:
                    what: Literal["restored", "fetched"] = "fetched" if fetched else "restored"
                    how = ", ".join([*(f"{f} from its source" for f in fetched), *copies])
                    self.repaired.append(Repaired(name, what, how))
                    return True
                why = "the fetched files differ from the lost ones"
            except _GoneError as error:
                why = str(error)
        self.store.drop(output)
        self.repaired.append(Repaired(name, "removed", why))
        return False

    def _collect(
        self, output: Output, users: list[StepResult], folder: Path
    ) -> tuple[list[str], list[str]]:
        """Collect every file of an artifact; return what was fetched, what copied."""
        copies: list[str] = []
        missing: list[str] = []
        for name, expected in output.files.items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            own = self.store.folder(output) / name
            if _is(own, expected):
                _link_or_copy(own, target)
                continue
            copy = self._copy_of(expected)
            if copy is None:
                missing.append(name)
            else:
                shutil.copyfile(copy, target)
                copies.append(f"{name} from {copy.relative_to(self.store.root)}")
        if missing:
            self._fetch(users, missing, folder)
        return missing, copies

    def _copy_of(self, expected: FileDigest) -> Path | None:
        """Return another file of the store with the same bytes."""
        for part in ("artifacts", "runs"):
            for path in sorted((self.store.root / part).rglob("*")):
                if _is(path, expected):
                    return path
        return None

    def _fetch(self, users: list[StepResult], missing: list[str], folder: Path) -> None:
        steps = [self.steps[user.key] for user in users if user.key in self.steps]
        sources = [step for step in steps if step.material is not None]
        if not sources:
            raise _GoneError(f"{missing[0]} has no other copy; the next run makes it again")
        step = sources[0]
        assert step.material is not None
        files = tuple(file for file in step.material.files if file.path in missing)
        material = step.material.model_copy(update={"files": files})
        try:
            self.fetch(step.model_copy(update={"material": material}), folder)
        except KhichdiError as error:
            raise _GoneError(f"{error.message}; the next run fetches it again") from error

    def _result_again(self, key: str, known: StepResult | None, lost: set[str]) -> None:
        """Write a result that cannot be read again, from a run's record, or remove it."""
        if known is not None and not lost & known.manifests():
            self.store.keep(known)
            self.repaired.append(Repaired(self._name(key), "restored", "from a run's record"))
            return
        self.store.forget(key)
        why = "its result cannot be read; the next run makes it again"
        self.repaired.append(Repaired(self._name(key), "removed", why))

    def _name(self, key: str) -> str:
        return self.steps[key].name if key in self.steps else key


class _GoneError(Exception):
    """Bytes that cannot be had again, and why."""


def _planned(store: Store) -> dict[str, PlanStep]:
    """Return the steps of every run's plan, by key."""
    found: dict[str, PlanStep] = {}
    for path in sorted(store.runs.glob(f"*/{PLAN}")):
        try:
            plan = Plan.from_json(path.read_bytes(), str(path))
        except (OSError, InputError):
            continue
        found |= {step.key: step for step in plan.steps}
    return found


def _is(path: Path, expected: FileDigest) -> bool:
    try:
        if path.is_symlink() or not path.is_file() or path.stat().st_size != expected.size:
            return False
        return file_sha256(path) == expected.sha256
    except OSError:
        return False


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
