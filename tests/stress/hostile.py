"""Hostile names in bundles and in runs' folders, and hostile archives: what escapes, in figures.

    python -m tests.stress.hostile RUN_FOLDER

The run's folder is in a store; everything is tried on copies.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from khichdi.runtime.audit.audited_run import open_claim
from khichdi.runtime.bundle.read import unpacked
from khichdi.runtime.bundle.write import bundle
from khichdi.schema.errors import KhichdiError

from .cases.hostile_run import escapes_from_folder, escapes_from_tar
from .cases.hostile_tar import hostile, hostile_names, odd_archives

COMMANDS = [["audit"], ["bundle", "-o", "out.bundle"]]


def main() -> int:
    run = Path(sys.argv[1]).resolve()
    store, names, failed = run.parent.parent, hostile_names(), []
    with tempfile.TemporaryDirectory() as scratch:
        for what in ("tar", "folder", "archives"):
            (Path(scratch) / what).mkdir()
        found = list(escapes_from_tar(names, Path(scratch) / "tar"))
        print(f"{len(names)} names in a bundle: {len(names) - len(found)} refused", flush=True)
        failed += found
        found = list(escapes_from_folder(names, run, Path(scratch) / "folder", COMMANDS))
        print(f"{len(names)} names in a folder: {len(found)} escaped or let in", flush=True)
        failed += found
        honest = Path(scratch) / "honest.bundle"
        bundle(open_claim(run, "run", (store,)), honest)
        folder, count = Path(scratch) / "archives", 0
        for make in (hostile, odd_archives):
            for what, path in make(honest, folder):
                count += not what.startswith("the name")
                try:
                    with unpacked(path, str(folder)):
                        failed.append(f"{what} was let in")
                except KhichdiError:
                    pass
        print(f"{count} hostile archives: {len(failed)} escaped or let in, of all")
    print("\n".join(failed))
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
