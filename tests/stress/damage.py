"""What damage to a run's artifacts, documents and bundle is seen: counts by place and kind.

    python -m tests.stress.damage RUN_FOLDER [COUNT] [SEED]

The run's folder is in a store; both are copied first. A bundle of it is made on the way.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from khichdi.runtime.audit.audited_run import open_claim
from khichdi.runtime.bundle.write import bundle

from .cases.damage import Tally, damage_artifacts, damage_bundle, damage_documents


def main() -> int:
    run = Path(sys.argv[1]).resolve()
    count, seed = (int(word) for word in [*sys.argv[2:], "10000", "57"][:2])
    tally = Tally()
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        shutil.copytree(run.parent.parent, store)
        claim = open_claim(store / "runs" / run.name, "run", (store,))
        packed = Path(folder) / "run.bundle"
        bundle(claim, packed)
        damage_artifacts(claim, count // 3, seed, tally)
        damage_documents(claim.folder, (store,), count // 3, seed + 1, tally)
        damage_bundle(packed, Path(folder), count - 2 * (count // 3), seed + 2, tally)
    for (place, kind), tried in sorted(tally.tried.items()):
        print(f"{place:<10}{kind:<10}{tried:>7} tried")
    print(
        f"{tally.tried.total():,} tried, {len(tally.unseen)} unseen, {len(tally.unnamed)} unnamed"
    )
    print("\n".join([*tally.unseen, *tally.unnamed]))
    return 1 if tally.unseen or tally.unnamed else 0


if __name__ == "__main__":
    raise SystemExit(main())
