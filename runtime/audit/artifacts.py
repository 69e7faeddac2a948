"""Artifacts by their bytes: each file hashed, each content digest and figure recomputed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from ...schema.audit import Finding, LevelReport
from ...schema.digest import (
    described_safetensors,
    digest,
    file_sha256,
    manifest_digest,
    table_digest,
)
from ...schema.document import parse_json
from ...schema.errors import KhichdiError
from ...schema.file_hashing import files_sha256
from ...schema.plan import PlanStep, result_hash
from ...schema.record import Output, RecordedStep
from ...schema.training_states import IN_TRACE, TRAINED
from ..adapter_files import WEIGHTS, adapter_digest
from ..adapter_folder import expected_files
from ..store.runs import metrics
from ..training_states import states_digest
from .audited_run import MADE, Claim, committed, weights_of
from .documents import first_difference
from .figures import Recompute, check_figures, main_output, nothing_recomputed, unlike
from .level import Level
from .row_accounting import row_findings

DeriveTexts = Callable[[Claim], Mapping[str, str]]
"""Derives texts of the adapter's folder again: their sha256 by name; passed in by a caller."""


def nothing_derived(_: Claim) -> Mapping[str, str]:
    """Derive no text."""
    return {}


def audit_artifacts(
    claim: Claim,
    name: str,
    recompute: Recompute = nothing_recomputed,
    derive_texts: DeriveTexts = nothing_derived,
) -> LevelReport:
    """Audit one level of the artifacts that steps produced."""
    pinned = name in ("sources", "base weights") and _all_pinned(claim)
    unmeasured = name == "metrics" and _nothing_planned(claim, name) and not claim.record.metrics
    level = Level(name, "derived" if pinned or unmeasured else "hashed")
    _pins(claim, level)
    files, size = 0, 0
    for step, output_name, output, place in claim.outputs():
        if place == name:
            _output(claim, level, step, output_name, output)
            files += len(output.files)
            size += sum(file.size for file in output.files.values())
    if files:
        exact = ", no more and no fewer" if pinned else ""
        level.details.append(f"{files:,} file{'s' * (files != 1)}, {size:,} bytes{exact}")
    for step in claim.record.steps if not level.findings else ():
        if claim.level_of(step, main_output(step)) == name:
            check_figures(claim, level, step, recompute)
            _account(claim, level, step)
    if name in FURTHER:
        FURTHER[name](claim, level)
    for text, derived in derive_texts(claim).items() if name == "adapter" else ():
        claimed = claim.record.adapter_texts.get(text)
        if claimed is not None:  # a run of an earlier version has none
            level.compare(Finding(at=f"copy adapter/{text}", claimed=claimed, derived=derived))
    if not level.checked and not level.findings and _nothing_planned(claim, name):
        detail = "the plan has no step at this level"
        return LevelReport(level=name, verdict="identical", basis="derived", detail=detail)
    return level.report()


def _nothing_planned(claim: Claim, level: str) -> bool:
    """Return whether the plan, which is audited against the recipe, makes nothing at a level."""
    if claim.plan is None:
        return False
    made = ((step, output) for step in claim.plan.steps for output in MADE.get(step.kind, {"": ""}))
    return all(claim.level_of(step, output) != level for step, output in made)


def _account(claim: Claim, level: Level, step: RecordedStep) -> None:
    """Account for the rows of a step; a table that lacks its columns is none that it made."""
    try:
        for finding in row_findings(claim, step):
            level.contradict(finding)
    except ModuleNotFoundError:
        return
    except Exception as error:  # tables of others may lack anything
        level.contradict(unlike(step, error))


def _output(
    claim: Claim, level: Level, step: RecordedStep, output_name: str, output: Output
) -> None:
    """Hash an artifact's files; where they are as claimed, recompute its content digest."""
    before = len(level.findings)
    manifest = manifest_digest({path: (f.size, f.sha256) for path, f in output.files.items()})
    place = {"step": step.name, "output": output_name}
    level.compare(Finding(**place, at="manifest", claimed=output.manifest, derived=manifest))
    folder = claim.artifact(output)
    if folder is None:
        level.absent.append(f"{step.name}#{output_name}")
        return
    for finding in _bytes(folder, output, place):
        level.compare(finding)
    if len(level.findings) > before:
        return
    try:
        derived: str | None = content_digest(output, folder)
    except ModuleNotFoundError as error:
        level.absent.append(f"the package {error.name}, to read {step.name}#{output_name}")
        return
    except KhichdiError as error:
        derived = f"it cannot be read: {error.message}"
    except Exception as error:  # a reader may raise anything on forged bytes
        derived = f"it cannot be read: {type(error).__name__}"
    level.compare(Finding(**place, at="content digest", claimed=output.digest, derived=derived))


def _bytes(folder: Path, output: Output, place: dict[str, str]) -> Iterator[Finding]:
    paths = {name: folder / name for name in output.files}
    plain = {name: path for name, path in paths.items() if path.is_file() and not path.is_symlink()}
    found = dict(zip(plain, files_sha256(plain.values()), strict=True))
    for name, file in output.files.items():
        sha = found.get(name)
        if isinstance(sha, OSError):
            raise sha
        yield Finding(**place, at=f"file {name}", claimed=file.sha256, derived=sha)
        size = paths[name].stat().st_size if sha else file.size
        yield Finding(**place, at=f"size of file {name}", claimed=file.size, derived=size)
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name not in output.files and (path.is_symlink() or not path.is_dir()):
            yield Finding(**place, at=f"file {name}", claimed=None, derived="it is there")


def content_digest(output: Output, folder: Path) -> str:
    """Return the digest of an artifact's content, computed from its files."""
    if output.kind in ("rows", "drops", "packs"):
        from ..tables import read_table

        table = read_table(folder)
        table.validate(full=True)
        return table_digest(table)
    if output.kind == "values":
        return digest("values", parse_json((folder / "values.json").read_bytes()))
    if output.kind == "adapter":
        return adapter_digest(folder)
    if output.kind == "states":
        return states_digest(folder)
    if output.kind == "model":
        from ..steps.export import exported_digest

        return exported_digest(folder)
    return output.manifest


def _all_pinned(claim: Claim) -> bool:
    steps = [step for step in claim.plan.steps if step.kind == "source"] if claim.plan else []
    return bool(steps) and all(step.material is not None for step in steps)


def _pins(claim: Claim, level: Level) -> None:
    """Compare each source's files with its pins, both ways, and the plan's pins with the lock's."""
    steps = [step for step in claim.plan.steps if step.kind == "source"] if claim.plan else []
    if level.name == "sources" and (claim.record.lock is not None or claim.lock is not None):
        seal, lock = claim.record.lock, claim.lock
        derived = lock.seal() if lock else None
        level.compare(Finding(at="seal of the lock", claimed=seal or derived, derived=derived))
        known = {step.name for step in steps}
        for name, material in (lock.materials if lock else {}).items():
            if name not in known:
                at = f"lock, material {name}, of no step"
                level.contradict(Finding(at=at, claimed=material.use))
    ran = {step.name: step for step in claim.record.steps}
    for step in steps:
        outputs = ran[step.name].result.outputs if step.name in ran else {}
        if step.material is None or level.name not in {claim.level_of(step, n) for n in outputs}:
            continue
        use = step.material.use
        level.compare(
            Finding(step=step.name, at="pins, use", claimed=use, derived=step.plugin.name)
        )
        if claim.lock is not None:
            locked = claim.lock.materials.get(step.name)
            found = first_difference(step.material.to_json(), locked.to_json() if locked else None)
            at, claimed, derived = found or ("", None, None)
            at = f"pins, {at}"
            level.compare(Finding(step=step.name, at=at, claimed=claimed, derived=derived))
        for name, output in outputs.items():
            for finding in undeclared(step, name, output):
                level.compare(finding)


def undeclared(step: PlanStep, name: str, output: Output) -> Iterator[Finding]:
    """Yield a comparison for each file that a source brought or pins: a file too many is one."""
    assert step.material is not None
    pinned = {file.path: [file.size, file.sha256] for file in step.material.files}
    brought = {path: [file.size, file.sha256] for path, file in output.files.items()}
    for path in sorted(pinned.keys() | brought.keys()):
        yield Finding(
            step=step.name,
            output=name,
            at=f"file {path}",
            claimed=brought.get(path),
            derived=pinned.get(path),
        )


def _starting(claim: Claim, level: Level) -> None:
    """Name what was read: digests of tensors that nobody hashed here."""
    level.basis = "read"
    for step, _, _, place in claim.outputs():
        found = weights_of(claim, step) if place == level.name else None
        if found is not None:
            level.details = [f"digests of {' and '.join(sorted(found))}; the tensors are not here"]


def _states(claim: Claim, level: Level) -> None:
    """Compare the states that a training kept with the digests in its trace."""
    for step in claim.record.steps:
        commitment = committed(claim, step) if step.kind == "runtime" else None
        if commitment is None or level.findings:
            continue
        trace, states = commitment
        whole = Finding(
            step=step.name,
            output="states",
            at="digest of what its index says",
            claimed=step.result.outputs["states"].digest,
            derived=states.digest(),
        )
        level.compare(whole)
        claimed = {entry["step"]: entry[IN_TRACE] for entry in trace if IN_TRACE in entry}
        made = {state.step: state.digest() for state in states.bounds}
        for at in sorted(claimed.keys() | made.keys() | {len(trace)}):
            level.compare(
                Finding(
                    step=step.name,
                    output="trace",
                    at=f"training step {at}, {IN_TRACE}",
                    claimed=claimed.get(at, "no state"),
                    derived=made.get(at),
                )
            )


def _adapters(claim: Claim, level: Level) -> None:
    """Compare the adapter with the state that it was taken from, and the copies with it.

    Only where a segment ends with that step is its state known.
    """
    for step in claim.record.steps:
        kept = committed(claim, step) if step.kind == "runtime" else None
        folder = claim.artifact(step.result.outputs["adapter"]) if kept else None
        if kept is None or folder is None or level.findings:
            continue
        states, tensors = kept[1], described_safetensors(folder / WEIGHTS)
        there = {(dtype, tuple(shape), sha) for dtype, shape, sha in tensors.values()}
        for state in states.bounds:
            trained = state.tensors.get(TRAINED, {}) if state.step == states.adapter_step else {}
            for name, (dtype, shape, sha) in trained.items():
                found = sha if (dtype, tuple(shape), sha) in there else "no such tensor"
                at = f"tensor {name} of the state after training step {state.step}"
                level.compare(
                    Finding(step=step.name, output="adapter", at=at, claimed=found, derived=sha)
                )
    _copies(claim, level)


def _copies(claim: Claim, level: Level) -> None:
    """Compare the copies in the run's folder, which people take, with the recorded artifacts."""
    for step, name, output, place in claim.outputs():
        if place != level.name or name not in ("adapter", "model"):
            continue
        copy = step.name if name == "model" else "adapter"
        claimed = {path: file.sha256 for path, file in output.files.items()}
        if name == "adapter":
            claimed = expected_files(claim, output)
        for path, derived in copied(claim.folder / copy).items():
            at = f"copy {copy}/{path}"
            level.compare(
                Finding(step=step.name, at=at, claimed=claimed.get(path), derived=derived)
            )
        # A folder of an earlier version has the artifact's files alone.
        due = claimed if claim.record.adapter_texts else output.files
        for path in sorted(due.keys() - copied(claim.folder / copy).keys()):
            if (claim.folder / copy).is_dir():
                at = f"copy {copy}/{path}"
                level.compare(Finding(step=step.name, at=at, claimed=claimed[path]))


def _exported(claim: Claim, level: Level) -> None:
    """Compare the copies; a plan that exports nothing has nothing to show here."""
    _copies(claim, level)
    if claim.plan and not any(step.kind == "exporter" for step in claim.plan.steps):
        level.basis, level.checked = "derived", level.checked + 1
        level.details.append("the plan exports nothing")


def copied(folder: Path) -> dict[str, str]:
    """Return the sha256 of each file in a folder of a run; a link or device is given as such."""
    if folder.is_symlink():
        return {".": "a link"}
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
    return {
        name: file_sha256(path) if path.is_file() and not path.is_symlink() else "not a plain file"
        for name, path in sorted(files.items())
        if path.is_symlink() or not path.is_dir()
    }


def _numbers(claim: Claim, level: Level) -> None:
    """Compare the record's metrics with its steps', theirs with files, and the result hash."""
    record = claim.record
    derived = metrics(list(record.steps))
    for name in dict.fromkeys([*record.metrics, *derived]):
        level.compare(
            Finding(
                at=f"metric {name}", claimed=record.metrics.get(name), derived=derived.get(name)
            )
        )
    for step, name, output, _ in claim.outputs():
        if step.kind == "evaluator" and name == "metrics":
            made = digest("values", step.result.facts.get("metrics"))
            level.compare(
                Finding(
                    step=step.name, output=name, at="facts", claimed=output.digest, derived=made
                )
            )
    # It is over every output, so it is compared last.
    result = result_hash({step.name: step.digests() for step in record.steps})
    level.compare(Finding(at="result hash", claimed=record.result_hash, derived=result))


FURTHER: dict[str, Callable[[Claim, Level], None]] = {
    "starting weights": _starting,
    "steps": _states,
    "adapter": _adapters,
    "exports": _exported,
    "metrics": _numbers,
}
"""Checks of single levels, beside the bytes."""
