"""Pin the exact bytes of every source and weight, and write the lock beside the recipe."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from ..project.base_files import support_now
from ..project.locking import check_lock, write_lock
from ..project.mirrors import open_mirror
from ..project.session import Session
from .arguments import mirror_argument, recipe_argument
from .base_layout import layout_json, layout_text
from .notices import Notices
from .output import columns, emit, short, size
from .session import open_session


def arguments(parser: ArgumentParser) -> None:
    """Add the command's arguments."""
    recipe_argument(parser, settings=False)
    mirror_argument(parser)
    parser.add_argument(
        "--update", metavar="NAME", action="append", default=[],
        help="pin this source again (`base`, `data/lima/source`), or accept this plugin file as it "
        "is now (`my_filters.py`); `all` for every one",
    )  # fmt: skip
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 if the lock would change"
    )


def run(options: Namespace) -> int:
    """Write the lock, or print whether it would change."""
    session = open_session(options)
    if options.check:
        return _check(session, options)
    mirror = open_mirror(options.mirror)
    locked = write_lock(session, Notices(options), again=options.update, mirror=mirror)
    assert locked.lock is not None
    rows = [
        (
            name,
            material.use,
            f"{len(material.files)} files",
            size(sum(f.size for f in material.files)),
        )
        for name, material in locked.lock.materials.items()
    ]
    digest = locked.compiled.plan.recipe_hash
    base = support_now(locked)
    lines = [columns(rows), f"wrote {session.lock_file}", f"recipe hash  {short(digest)}"]
    lines += [f"base         {layout_text(base)}"] if base else []
    document = {"lock": str(session.lock_file), "recipe_hash": digest, "base": layout_json(base)}
    emit(options, document, "\n".join(lines))
    return 0


def _check(session: Session, options: Namespace) -> int:
    """Print what would change: missing, stale and unused sources, other plugins."""
    found = check_lock(session)
    lines = [f"the lock lacks {', '.join(found.missing)}"] if found.missing else []
    if found.unused:
        lines.append(f"the lock has {', '.join(found.unused)}, which nothing uses")
    lines += [
        f"plugins of {name}: locked {before or 'none'}, installed {now or 'none'}"
        for name, (before, now) in found.plugins.items()
    ]
    document = {
        "complete": not found.missing,
        "missing": found.missing,
        "unused": found.unused,
        "plugins": found.plugins,
    }
    emit(options, document, "\n".join(lines) or "the lock is complete")
    return 0 if found.current else 1
