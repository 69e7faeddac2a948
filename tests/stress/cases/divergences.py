"""Injects divergences into a run at every level, and says what an audit has to name.

An injection changes one thing in place, and everything that can be made to agree with it agrees:
documents are sealed again, and for those that only execution can find, digests and the result hash
are made to fit. `undo` puts the run back as it was.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from khichdi.plugins.kinds import KINDS
from khichdi.plugins.registry import load_registry
from khichdi.runtime.audit.audited_run import Claim
from khichdi.schema.audit import LEVELS
from khichdi.schema.lock import Lock
from khichdi.schema.plan import Plan
from khichdi.schema.record import Output, Record, RecordedStep

from ...helpers import forgery
from .file_changes import added, appended, flipped, in_document, leaves, linked, move, removed
from .injections import Injection

ZERO = "sha256:" + "0" * 64


def injections(claim: Claim, seed: int) -> list[Injection]:
    """Return every divergence that is known here, of all levels; `seed` draws rows and values."""
    draw = random.Random(seed)
    return [
        *_of_recipe(claim),
        *_of_plan(claim),
        *_of_record(claim),
        *_of_lock(claim),
        *_of_artifacts(claim),
        *_of_claims(claim),
        *_of_numbers(claim),
        *_executed(claim, draw),
    ]


def chosen(known: Iterable[Injection], count: int, draw: random.Random) -> list[Injection]:
    """Return so many injections: those that are executed, and the others level by level in turn."""
    known = list(known)
    found = [one for one in known if one.executed]
    heaps = [[one for one in known if one.level == name and not one.executed] for name in LEVELS]
    for heap in heaps:
        draw.shuffle(heap)
    while len(found) < count and any(heaps):
        found += [heap.pop() for heap in heaps if heap]
    return found[: max(count, sum(one.executed for one in known))]


# ---- documents ------------------------------------------------------------------------------


def _of_recipe(claim: Claim) -> Iterator[Injection]:
    for path, places in leaves(claim.record.bound):
        yield Injection(
            f"bound recipe {path}",
            "recipe",
            f"field {path}",
            in_document(claim, "record.json", Record, lambda r, p=places: move(r["bound"], p)),
        )
    for file in claim.record.files:
        path = claim.folder / "recipe" / file.path
        yield Injection(
            f"recipe file {file.path}", "recipe", f"file recipe/{file.path}", appended(path)
        )


def _of_plan(claim: Claim) -> Iterator[Injection]:
    assert claim.plan is not None
    for number, step in enumerate(claim.plan.steps):
        if step.kind == "source":
            continue  # a pinned source is what its files are, wherever they come from
        free: frozenset[str] = frozenset()
        if step.kind in KINDS:
            free = load_registry().get(step.kind, step.plugin.name).plugin.operational()
        for path, places in leaves(step.plugin.params):
            if places[0] in free:
                continue  # it can change no result, and no key covers it
            yield Injection(
                f"plan of {step.name}: {path}",
                "plan",
                f"step {step.name}, key",
                in_document(
                    claim, "plan.json", Plan,
                    lambda p, n=number, w=places: move(p["steps"][n]["plugin"]["params"], w),
                ),
            )  # fmt: skip


def _of_record(claim: Claim) -> Iterator[Injection]:
    changes: dict[str, tuple[str, Any]] = {
        "plugin version": ("version", 99),
        "seed": ("seed", 99),
        "plugin": ("plugin", "another"),
    }
    for number, step in enumerate(claim.record.steps):
        for what, (name, value) in changes.items():
            yield Injection(
                f"record of {step.name}: {what}",
                "plan",
                f"step {step.name}, {what}",
                in_document(
                    claim, "record.json", Record,
                    lambda r, n=number, k=name, v=value: r["steps"][n].update({k: v}),
                ),
            )  # fmt: skip
        yield Injection(
            f"record of {step.name}: key",
            "recipe",
            f"step {step.name}, key",
            in_document(
                claim, "record.json", Record,
                lambda r, n=number: r["steps"][n]["result"].update(key=ZERO),
            ),
        )  # fmt: skip


def _of_lock(claim: Claim) -> Iterator[Injection]:
    assert claim.lock is not None
    name = f"recipe/{claim.record.recipe}.lock"
    for material, pinned in claim.lock.materials.items():
        for number, file in enumerate(pinned.files):
            changes = (
                ("size", file.size + 1, "sources", "seal of the lock"),
                ("sha256", ZERO, "sources", "seal of the lock"),
            )
            for what, value, level, where in changes:
                yield Injection(
                    f"lock of {material}: {what} of {file.path}",
                    level,
                    where,
                    in_document(
                        claim, name, Lock,
                        lambda m, s=material, n=number, k=what, v=value: m["materials"][s]["files"][
                            n
                        ].update({k: v}),
                    ),
                )  # fmt: skip


# ---- bytes ----------------------------------------------------------------------------------


def _of_artifacts(claim: Claim) -> Iterator[Injection]:
    """Several steps may have come to the same bytes: the first in the order of levels is named."""
    named: set[str] = set()
    outputs = sorted(claim.outputs(), key=lambda found: LEVELS.index(found[3]))
    for step, name, output, level in outputs:
        folder = claim.artifact(output)
        if folder is None or output.manifest in named:
            continue
        named.add(output.manifest)
        place = f"step {step.name}#{name}, file "
        for file, told in output.files.items():
            ways = {"a bit of": flipped, "a link instead of": linked, "no": removed}
            for words, way in ways.items():
                if told.size or words != "a bit of":
                    what = f"{words} {step.name}#{name}/{file}"
                    yield Injection(what, level, place + file, way(folder / file))
        what = f"one more file in {step.name}#{name}"
        yield Injection(what, level, f"{place}more", added(folder / "more"))


def _of_claims(claim: Claim) -> Iterator[Injection]:
    for number, step in enumerate(claim.record.steps):
        for name, output in step.result.outputs.items():
            level = next(
                place for one, key, _, place in claim.outputs() if (one, key) == (step, name)
            )
            changes: dict[str, Callable[[Any], None]] = {
                "content digest": lambda o: o.update(digest=ZERO),
                "manifest": lambda o: next(iter(o["files"].values())).update(sha256=ZERO),
            }
            for what, change in changes.items():
                if what == "manifest" and not output.files:
                    continue
                # What a source brought is held to what is pinned, file by file.
                pinned = level == "sources" and what == "manifest"
                place = f"file {next(iter(output.files))}" if pinned else what
                yield Injection(
                    f"{what} of {step.name}#{name}",
                    level,
                    f"step {step.name}#{name}, {place}",
                    in_document(
                        claim, "record.json", Record,
                        lambda r, n=number, k=name, c=change: c(
                            r["steps"][n]["result"]["outputs"][k]
                        ),
                    ),
                )  # fmt: skip


def _of_numbers(claim: Claim) -> Iterator[Injection]:
    for number, step in enumerate(claim.record.steps):
        if "rows_out" in step.result.facts and "rows" in step.result.outputs:
            yield Injection(
                f"rows of {step.name}",
                "data",
                f"step {step.name}, rows_out",
                in_document(
                    claim, "record.json", Record,
                    lambda r, n=number: r["steps"][n]["result"]["facts"].update(rows_out=10**6),
                ),
            )  # fmt: skip
    for name in claim.record.metrics:
        yield Injection(
            f"metric {name}",
            "metrics",
            f"metric {name}",
            in_document(claim, "record.json", Record, lambda r, n=name: move(r["metrics"], [n])),
        )
    for name, level in (("recipe_hash", "recipe"), ("result_hash", "metrics")):
        words = name.replace("_", " ")
        change = in_document(claim, "record.json", Record, lambda r, n=name: r.update({n: ZERO}))
        yield Injection(words, level, words, change)


# ---- what only execution finds --------------------------------------------------------------


def _executed(claim: Claim, draw: random.Random) -> Iterator[Injection]:
    for step, name, output, level in claim.outputs():
        if level in ("sources", "base weights") or claim.artifact(output) is None:
            continue
        for where, change in _forgeries(claim, step, name, output, draw):
            yield Injection(
                f"forged {step.name}#{name}, {where}",
                level,
                _first_seen(step, name, output, where),
                _forged(claim, step.name, name, change),
                executed=True,
            )


def _first_seen(step: RecordedStep, name: str, output: Output, where: str) -> str:
    """Return words of the place that is named first.

    A row is accounted for from step to step, and an adapter is held to the state that it was taken
    from, before anything is executed.
    """
    if output.kind == "rows":
        return where[where.index(" (id ") :]
    if output.kind == "adapter":
        return f"step {step.name}#{name}, {where.partition('.weight')[0]}"
    return f"step {step.name}#{name}, {where}"


def _forgeries(
    claim: Claim, step: RecordedStep, name: str, output: Output, draw: random.Random
) -> Iterator[tuple[str, Callable[[Path], None]]]:
    """Yield the place that is to be named, and what changes it."""
    folder = claim.artifact(output)
    assert folder is not None
    if output.kind in ("rows", "drops", "packs"):
        from khichdi.runtime.tables import read_table

        table = read_table(folder)
        if table.num_rows:
            row = draw.randrange(table.num_rows)
            value = table.slice(row, 1).to_pylist()[0]
            column, changed, inside = _other_value(value, draw)
            known = f" (id {value['id']})" if "id" in value else ""
            yield f"row {row:,}{known}, {column}{inside}", forgery.change_row(row, column, changed)
    elif output.kind == "adapter":
        header = _header(folder / "adapter_model.safetensors")
        tensor = draw.choice(sorted(header))
        element = draw.randrange(_count(header[tensor]["shape"]))
        yield f"tensor {tensor}, element {element:,}", forgery.flip_in_tensor(tensor, element)
    elif output.kind == "values" and name == "weights":
        for what in json.loads((folder / "values.json").read_bytes()):
            change = forgery.change_values(lambda value, w=what: value.update({w: ZERO}))
            yield f"tensors of {what}", change
    elif output.kind == "values" and name == "trace":
        trace = json.loads((folder / "values.json").read_bytes())
        for key in ("loss", "grad_norm", "learning_rate", "batch"):
            at = draw.randrange(len(trace))
            change = forgery.change_values(lambda value, n=at, k=key: move(value, [n, k]))
            yield f"training step {trace[at]['step']}, {key}", change


def _other_value(value: dict[str, Any], draw: random.Random) -> tuple[str, Any, str]:
    """Return a column, another value for it, and the place inside the column."""
    texts = sorted(k for k, v in value.items() if isinstance(v, str) and k != "id")
    if texts:
        column = draw.choice(texts)
        return column, value[column] + "x", ""
    column = draw.choice(sorted(k for k, v in value.items() if isinstance(v, list) and v))
    place, changed = draw.randrange(len(value[column])), list(value[column])
    changed[place] = changed[place] + ("x" if isinstance(changed[place], str) else 1)
    return column, changed, f"[{place}]"


def _forged(
    claim: Claim, step: str, output: str, change: Callable[[Path], None]
) -> Callable[[], None]:
    return lambda: forgery.forge(claim.folder, claim.stores[0], step, output, change)


def _header(path: Path) -> dict[str, Any]:
    raw = path.read_bytes()
    header: dict[str, Any] = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    header.pop("__metadata__", None)
    return header


def _count(shape: list[int]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count
