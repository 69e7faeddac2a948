"""Forge everything that a run says and made, let everything else agree, and audit the result.

    python -m tests.stress.forgeries [MUTANTS] [FAMILY ...]

Two honest runs of each shape of base are made, signed and bundled. A mutant changes, deletes, adds,
duplicates or swaps one thing; then every document, digest, key, figure and copy is made to fit. It
goes up a ladder until something finds it: an audit of documents and bytes, every segment of the
training, every step executed again, the signature. What is found by none is accepted: a fault of
khichdi. What only a signature finds is a field that documents claim, or stands in `SIGNED_ONLY`, or
leaves an audit without what it needs to judge (a plugin that is not installed, bytes that are not
there): it says `unverifiable`, which `--strict` refuses.
"""

from __future__ import annotations

import contextlib
import random
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from khichdi.schema.claims import claimed

from .cases.audit_ladder import LADDER, Ladder
from .cases.forged_artifacts import (
    artifact_mutants,
    forge_artifact,
    forge_step,
    splice_mutants,
)
from .cases.forged_bundles import bundle_mutants, forge_bundle
from .cases.forged_documents import (
    document_mutants,
    folder_mutants,
    forge_document,
    forge_folder,
    forge_recipe,
    recipe_mutants,
)
from .cases.forger import LOCK, Forger
from .cases.honest_runs import Honest, clone, cook, shapes
from .cases.json_mutants import Mutant

SIGNED_ONLY = {
    r"record\.json bound": "the record's copy of the recipe, compiled from its files instead",
    r"recipe/pico\.yaml (data\.\w+\.source|model\.base)": "where the pinned bytes came from",
}
"""Fields that no audit derives, beside those of `khichdi.schema.claims`, and why."""
DOCUMENTS = {"record.json": "record", "plan.json": "plan", LOCK: "lock"}
UNSIGNED = {
    r"^(loss\.png|log\.txt)": "a picture and a log, which no signature covers",
    r"^adapter/adapter_config\.json$": "it names a folder in another store, with the same bytes",
}
"""Files that nothing covers: `recipe verify` names them, or they lead to the same bytes."""
LAYOUT = "bytes that mean the same: white space of JSON, who wrote a configuration"
"""Why a file may differ where the digest of its content does not; a signature covers its bytes."""

Apply = Callable[[Mutant, Forger, Honest], bool]
Enumerate = Callable[[Honest], Iterator[Mutant]]
FAMILIES: dict[str, tuple[Enumerate, Apply]] = {
    "document": (document_mutants, forge_document),
    "recipe": (recipe_mutants, forge_recipe),
    "folder": (folder_mutants, forge_folder),
    "artifact": (artifact_mutants, forge_artifact),
    "step": (splice_mutants, forge_step),
    "bundle": (bundle_mutants, forge_bundle),
}


@dataclass
class Table:
    """What became of the mutants.

    Attributes:
        found: by family, kind of change, and what found it, how many.
        accepted: those that nothing found, or that ended in a fault, with what was said.
        signed_only: by reason, how many only the signature found, or nothing has to.
        unchanged: how many made no difference.
    """

    found: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    accepted: list[str] = field(default_factory=list)
    signed_only: Counter[str] = field(default_factory=Counter)
    unchanged: int = 0

    @property
    def mutants(self) -> int:
        return self.found.total() + len(self.accepted)

    def text(self) -> str:
        """Return the table: by family and kind of change, how many each level found."""
        columns = [*LADDER, "strict", "not covered", "holds"]
        lines = [f"{'family':<10}{'change':<11}" + "".join(f"{name:>13}" for name in columns)]
        for family, kind in sorted({(family, kind) for family, kind, _ in self.found}):
            counts = "".join(f"{self.found[family, kind, name]:>13,}" for name in columns)
            lines.append(f"{family:<10}{kind:<11}{counts}")
        totals = [sum(n for (_, _, by), n in self.found.items() if by == name) for name in columns]
        lines.append(f"{'all':<21}" + "".join(f"{count:>13,}" for count in totals))
        lines += [f"{n:>6,}  {why}" for why, n in self.signed_only.most_common()]
        lines.append(
            f"mutants {self.mutants:,}, accepted {len(self.accepted):,}; "
            f"{self.unchanged:,} more made no difference"
        )
        return "\n".join(lines + [f"ACCEPTED {one}" for one in self.accepted])


def campaign(folder: Path, shape: str, count: int, families: list[str], seed: int = 0) -> Table:
    """Forge so many mutants of a shape of run, as many of each family as there are, and judge."""
    honest, other = cook(folder, shape)
    ladder, table, chance = Ladder(honest, folder), Table(), random.Random(seed)
    heaps = [list(FAMILIES[name][0](honest)) for name in families]
    for heap in heaps:
        chance.shuffle(heap)
    with contextlib.suppress(KeyboardInterrupt):  # interrupted, it reports as far as it got
        while any(heaps) and table.mutants < count:
            for heap in heaps:
                if heap and table.mutants < count:
                    _try(heap.pop(), honest, other, folder / "mutant", ladder, table)
    return table


def _try(
    mutant: Mutant, honest: Honest, other: Honest, folder: Path, ladder: Ladder, table: Table
) -> None:
    try:
        forger = Forger(clone(honest, folder / "store"))
        if not FAMILIES[mutant.family][1](mutant, forger, other):
            table.unchanged += 1
            return
        told = ladder.judge(forger.bundle or forger.subject)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    why = ""
    if told.by == "verify":
        why = _claimed(mutant) or LAYOUT * (forger.content() == Forger(honest).content())
    elif told.by is None:
        why = _reason(UNSIGNED, mutant) if mutant.family == "folder" else ""
    by = told.by if told.by and (told.by != "verify" or why) else "not covered" if why else None
    if mutant.family == "folder" and told.by == "verify":
        by = "verify"
    if by is None and told.unverifiable:
        by = "strict"
    if by is None and mutant.family in ("recipe", "bundle") and told.holds:
        by = "holds"  # written otherwise, or without a table that a rerun makes again
    if by is None or told.fault:
        table.accepted.append(f"{mutant}: {told}")
        print(f"ACCEPTED {mutant}: {told}", file=sys.stderr, flush=True)
        return
    table.found[mutant.family, mutant.kind, by] += 1
    if table.mutants % 100 == 0:
        print(f"{table.mutants:,} mutants", file=sys.stderr, flush=True)
    if why:
        table.signed_only[why] += 1


def _claimed(mutant: Mutant) -> str:
    """Return why a field is one that an audit does not derive; nothing where it has to be."""
    field = claimed(DOCUMENTS.get(mutant.target, ""), mutant.place)
    return f"{field.what}: {field.why}" if field else _reason(SIGNED_ONLY, mutant)


def _reason(reasons: dict[str, str], mutant: Mutant) -> str:
    return next((why for place, why in reasons.items() if re.search(place, mutant.where)), "")


def main() -> int:
    words = sys.argv[1:]
    count = int(words.pop(0)) if words and words[0].isdecimal() else 3_000
    failed = 0
    for shape in shapes():
        start = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="forgeries-") as folder:
            table = campaign(Path(folder), shape, count // len(shapes()), words or list(FAMILIES))
        print(f"\n{shape}, {time.monotonic() - start:,.0f} s\n{table.text()}", flush=True)
        failed += len(table.accepted)
    return int(bool(failed))


if __name__ == "__main__":
    raise SystemExit(main())
