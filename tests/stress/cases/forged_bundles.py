"""Forgeries of bundles: table of contents, members and bytes; and forged runs in bundles."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from khichdi.runtime.bundle.tar_format import end, header, laid_out, padding
from khichdi.schema.bundle import CONTENTS, Contents
from khichdi.schema.digest import file_sha256
from khichdi.schema.seal import SEAL

from .forged_artifacts import artifact_mutants, forge_artifact
from .forged_documents import document_mutants, forge_document
from .forger import FIT, MODELS, Forger
from .honest_runs import Honest
from .json_mutants import Mutant, mutants_of, mutate, text_of

DOCUMENTS = (*MODELS, "recipe/pico.yaml", "attestation.json")
BYTES = 60
"""Places in a bundle at which a byte is changed, or where it is truncated."""
EXTRA = ("adapter/adapter_model.bin", "README.md", "recipe/sitecustomize.py", "adapter.sig",
         "log.txt", "artifacts/" + "0" * 64 + "/x", "adapter_model.bin")  # fmt: skip


def bundle_mutants(honest: Honest) -> Iterator[Mutant]:
    """Yield mutants of a run's bundle, then those of its documents and artifacts, in a bundle."""
    contents = _contents(_members(honest), Forger(honest).record)
    yield from mutants_of("bundle", "alone", CONTENTS, contents)
    for name in contents["files"]:
        for kind in ("change", "delete", "add", "duplicate", "swap"):
            yield Mutant("bundle", kind, "followed", f"member {name}")
    for name in EXTRA:
        yield Mutant("bundle", "add", "followed", "members", (name,))
    for number in range(BYTES):
        for kind in ("change", "delete", "duplicate"):
            yield Mutant("bundle", kind, "alone", "bytes", (number,))
    yield Mutant("bundle", "add", "alone", "bytes")
    for of in (document_mutants, artifact_mutants):
        for one in of(honest):
            if one.depth == "followed":
                yield Mutant("bundle", one.kind, "followed", one.target, one.place)


def forge_bundle(mutant: Mutant, forger: Forger, other: Honest) -> bool:
    """Write the bundle of a run with something changed in it."""
    if mutant.target in MODELS or "#" in mutant.target:
        forge = forge_document if mutant.target in MODELS else forge_artifact
        if not forge(mutant, forger, other):
            return False
    members = _members(forger.subject)
    target = forger.subject.store.parent / "forged.bundle"
    forger.bundle = target
    if mutant.target.startswith("member"):
        return _member(mutant, members, forger, target)
    contents = _contents(members, forger.record)
    text, changed = _sealed(contents), True
    if mutant.target == CONTENTS:
        others = _contents(_members(other), Forger(other).record)
        changed = mutate(contents, others, mutant.kind, mutant.place)
        text = _sealed(contents)
    _lay_out(text, members, target)
    if mutant.target == "bytes":
        changed = _damage(mutant, target)
    return changed


def _members(run: Honest) -> dict[str, Path]:
    """Return the files of a run's bundle, by name: documents and all artifacts."""
    found = {name: run.run / name for name in DOCUMENTS if (run.run / name).is_file()}
    for output in _outputs(json.loads((run.run / "record.json").read_bytes())).values():
        if isinstance(output, dict):
            folder = f"artifacts/{str(output.get('manifest')).removeprefix('sha256:')}"
            for path in (run.store / folder).rglob("*"):
                if path.is_file():
                    found[f"{folder}/{path.relative_to(run.store / folder).as_posix()}"] = path
    return dict(sorted(found.items()))


def _outputs(record: Any) -> dict[str, Any]:
    """Return the outputs of a record by `step#output`, as far as it can be read."""
    try:
        return {
            f"{step['name']}#{name}": output
            for step in record["steps"]
            for name, output in step["result"]["outputs"].items()
        }
    except FIT:
        return {}


def _contents(members: dict[str, Path], record: Any) -> dict[str, Any]:
    """Return a table of contents that fits the members."""
    there = {name.split("/")[1] for name in members if name.startswith("artifacts/")}
    return {
        "bundle": 1,
        **{name: record.get(name) for name in ("recipe", "recipe_hash", "result_hash")},
        "files": {
            name: {"size": path.stat().st_size, "sha256": file_sha256(path)}
            for name, path in members.items()
        },
        "left_out": [
            name
            for name, output in _outputs(record).items()
            if str(output.get("manifest")).removeprefix("sha256:") not in there
        ],
    }


def _sealed(contents: Any) -> str:
    return text_of(Contents._text({**contents, SEAL: Contents._seal(contents)}))


def _lay_out(text: str, members: dict[str, Path], target: Path) -> None:
    pieces = laid_out([(CONTENTS, text.encode()), *members.items()])
    target.write_bytes(b"".join(pieces))


def _member(mutant: Mutant, members: dict[str, Path], forger: Forger, target: Path) -> bool:
    """Change a member, and let the table of contents say so."""
    name = mutant.target.removeprefix("member").strip()
    made = target.with_name("member")
    raw = members[name].read_bytes() if name in members else b"x"
    if mutant.kind == "delete":
        del members[name]
    elif mutant.kind == "swap":
        same = [one for one in members if one != name and Path(one).suffix == Path(name).suffix]
        if not same or members[same[0]].read_bytes() == raw:
            return False
        members[name] = members[same[0]]
    else:
        middle = len(raw) // 2
        changed = raw[:middle] + bytes([raw[middle] ^ 1]) + raw[middle + 1 :]
        made.write_bytes(changed if mutant.kind == "change" else raw)
        beside = {"add": f"{name}.bin", "duplicate": f"{name}.copy", "change": name}[mutant.kind]
        members[str(mutant.place[0]) if mutant.place else beside] = made
    members = dict(sorted(members.items()))
    _lay_out(_sealed(_contents(members, forger.record)), members, target)
    return True


def _damage(mutant: Mutant, target: Path) -> bool:
    raw = target.read_bytes()
    at = len(raw) * int(mutant.place[0]) // BYTES if mutant.place else len(raw)
    at = min(at + 300 * (mutant.kind == "change"), len(raw) - 1)
    made = {
        "change": lambda: raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :],
        "delete": lambda: raw[:at],
        "duplicate": lambda: raw[:at] + raw[at : at + 512] + raw[at:],
        "add": lambda: raw + header("adapter_model.bin", 1) + b"x" + padding(1) + end(0),
    }[mutant.kind]()
    target.write_bytes(made)
    return made != raw
