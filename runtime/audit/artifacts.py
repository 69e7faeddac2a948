"""What steps produced, by its bytes: each file hashed, each content digest made again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from ...schema.audit import Finding, Held, LevelReport, Verdict
from ...schema.digest import digest, file_sha256, manifest_digest, table_digest
from ...schema.file_hashing import files_sha256
from ...schema.plan import result_hash
from ...schema.record import Output, RecordedStep
from ...schema.training_states import IN_TRACE
from ..adapter_files import adapter_digest
from ..store.runs import metrics
from ..training_states import states_digest
from .audited_run import QUANTIZED, Claim, committed, weights_of
from .documents import diverged


class Level:
    """One level as it is gone through: what was compared, what parted, what was not there."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.checked = 0
        self.findings: list[Finding] = []
        self.absent: list[str] = []
        self.said: list[str] = []
        self.held: list[Held] = []

    def compare(self, finding: Finding) -> None:
        """Count a comparison, and keep it where the two sides differ."""
        self.checked += 1
        if finding.claimed != finding.derived:
            self.findings.append(finding)

    def report(self) -> LevelReport:
        """Return the level's verdict."""
        held = tuple(self.held)
        if self.findings:
            return diverged(self.name, self.checked, self.findings, basis="hashed", criteria=held)
        detail = ", ".join(self.said)
        if held:
            nearest = max(held, key=lambda one: one.value / one.limit)
            detail = (
                f"{len(held)} figures within their limits; {nearest.criterion} comes nearest, "
                f"{nearest.value:.2g} of {nearest.limit:.2g}"
            )
        if self.absent:
            more = f" and {len(self.absent) - 1} more" if len(self.absent) > 1 else ""
            detail = f"not here: {self.absent[0]}{more}"
        elif not self.checked:
            detail = "the run has nothing at this level"
        whole = self.checked and not self.absent
        same: Verdict = "equivalent" if held else "identical"
        return LevelReport(
            level=self.name,
            verdict=same if whole else "unverifiable",
            criteria=held,
            basis="hashed",
            checked=self.checked,
            detail=detail,
        )


def audit_artifacts(claim: Claim, name: str) -> LevelReport:
    """Audit one level of what steps produced."""
    level = Level(name)
    if name == "sources":
        _materials(claim, level)
    if name == "quantized weights":
        _quantized(claim, level)
    files, size = 0, 0
    for step, output_name, output, place in claim.outputs():
        if place == name:
            _output(claim, level, step, output_name, output)
            files += len(output.files)
            size += sum(file.size for file in output.files.values())
    if files:
        level.said.append(f"{files:,} file{'s' * (files != 1)}, {size:,} bytes")
    if name == "steps":
        _committed(claim, level)
    if name == "adapter":
        _taken(claim, level)
    if name == "metrics":
        _numbers(claim, level)
    return level.report()


def _output(
    claim: Claim, level: Level, step: RecordedStep, output_name: str, output: Output
) -> None:
    """Hash an artifact's files; where they are as claimed, make its content digest again."""
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
    except Exception as error:  # whatever its reader makes of bytes that are not what they claim
        derived = f"it cannot be read: {type(error).__name__}"
    level.compare(Finding(**place, at="content digest", claimed=output.digest, derived=derived))
    if output.kind == "rows" and output_name == "rows" and "rows_out" in step.result.facts:
        told = step.result.facts["rows_out"]
        level.compare(Finding(**place, at="rows_out", claimed=told, derived=_rows(folder)))


def _bytes(folder: Path, output: Output, place: dict[str, str]) -> Iterator[Finding]:
    paths = {name: folder / name for name in output.files}
    plain = {name: path for name, path in paths.items() if path.is_file() and not path.is_symlink()}
    found = dict(zip(plain, files_sha256(plain.values()), strict=True))
    for name, file in output.files.items():
        sha = found.get(name)
        if isinstance(sha, OSError):
            raise sha
        yield Finding(**place, at=f"file {name}", claimed=file.sha256, derived=sha)
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name not in output.files and (path.is_symlink() or not path.is_dir()):
            yield Finding(**place, at=f"file {name}", claimed=None, derived="it is there")


def content_digest(output: Output, folder: Path) -> str:
    """Return the digest of an artifact's content, made from its files."""
    if output.kind in ("rows", "drops", "packs"):
        from ..tables import read_table

        table = read_table(folder)
        table.validate(full=True)
        return table_digest(table)
    if output.kind == "values":
        return digest("values", json.loads((folder / "values.json").read_bytes()))
    if output.kind == "adapter":
        return adapter_digest(folder)
    if output.kind == "states":
        return states_digest(folder)
    return output.manifest


def _rows(folder: Path) -> int:
    from ..tables import read_table

    return int(read_table(folder).num_rows)


def _materials(claim: Claim, level: Level) -> None:
    """Compare the lock with the plan, and what each source brought with what it pins."""
    steps = [step for step in claim.plan.steps if step.kind == "source"] if claim.plan else []
    ran = {step.name: step for step in claim.record.steps}
    if claim.lock is not None:
        if claim.record.lock is not None:
            seal = claim.lock.seal()
            level.compare(Finding(at="seal of the lock", claimed=claim.record.lock, derived=seal))
        for step in steps:
            pinned = claim.lock.materials.get(step.name)
            a = step.material.manifest() if step.material else None
            b = pinned.manifest() if pinned else None
            level.compare(Finding(step=step.name, at="pinned files", claimed=a, derived=b))
    for step in steps:
        if step.material is None or step.name not in ran:
            continue
        for output_name, output in ran[step.name].result.outputs.items():
            brought = {path: file.sha256 for path, file in output.files.items()}
            for file in step.material.files:
                level.compare(
                    Finding(
                        step=step.name,
                        output=output_name,
                        at=f"file {file.path}",
                        claimed=brought.get(file.path),
                        derived=file.sha256,
                    )
                )


def _quantized(claim: Claim, level: Level) -> None:
    """Look for the quantized base's digest; the file that has it is hashed with base weights."""
    for step, name, _, _ in claim.outputs():
        if step.kind == "runtime" and name == "weights":
            found = weights_of(claim, step)
            if found is None or QUANTIZED not in found:
                level.absent.append(f"{step.name}#weights")
            else:
                level.checked += 1
                level.said.append(found[QUANTIZED])


def _committed(claim: Claim, level: Level) -> None:
    """Compare the states that a training kept with the digests that its trace is committed to."""
    for step in claim.record.steps:
        commitment = committed(claim, step) if step.kind == "runtime" else None
        if commitment is None or level.findings:
            continue
        trace, states = commitment
        told = {entry["step"]: entry[IN_TRACE] for entry in trace if IN_TRACE in entry}
        made = {state.step: state.digest() for state in states.bounds}
        for at in sorted(told.keys() | made.keys() | {len(trace)}):
            level.compare(
                Finding(
                    step=step.name,
                    output="trace",
                    at=f"training step {at}, {IN_TRACE}",
                    claimed=told.get(at, "no state"),
                    derived=made.get(at),
                )
            )


def _taken(claim: Claim, level: Level) -> None:
    """Compare the copy of the adapter in the run's folder with the artifact that was recorded."""
    for step, name, output, _ in claim.outputs():
        if step.kind != "runtime" or name != "adapter":
            continue
        for path, file in output.files.items():
            copy = claim.folder / "adapter" / path
            if copy.is_file() and not copy.is_symlink():
                level.compare(
                    Finding(
                        step=step.name,
                        at=f"copy adapter/{path}",
                        claimed=file.sha256,
                        derived=file_sha256(copy),
                    )
                )


def _numbers(claim: Claim, level: Level) -> None:
    """Hold the record's numbers to its steps', those to their files, and the result hash to all."""
    record = claim.record
    derived = metrics(list(record.steps))
    for name in dict.fromkeys([*record.metrics, *derived]):
        level.compare(
            Finding(
                at=f"metric {name}", claimed=record.metrics.get(name), derived=derived.get(name)
            )
        )
    for step, name, output, _ in claim.outputs():
        if step.kind != "evaluator" or name != "metrics":
            continue
        told = step.result.facts.get("metrics")
        made = digest("values", told)
        level.compare(
            Finding(step=step.name, output=name, at="facts", claimed=output.digest, derived=made)
        )
    # Over everything that came out, so it is compared last.
    result = result_hash({step.name: step.digests() for step in record.steps})
    level.compare(Finding(at="result hash", claimed=record.result_hash, derived=result))
