"""Open the target of an audit, a signature or a verification.

It is a run, its record, a bundle, or a repository of the hub that a run was published to.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from ..plugins.registry import Registry
from ..runtime.audit.audited_run import Claim, open_claim
from ..runtime.audit.plugin_files import not_loaded, registry_of
from ..runtime.bundle.read import check_contents, unpacked
from ..runtime.hub.address import is_hub_address
from ..runtime.store.runs import RECORD
from ..runtime.store.store import Store
from ..schema.errors import InputError
from .run_lookup import open_run
from .session import store_folder


def is_bundle(path: Path) -> bool:
    """Return whether a path is that of a file which is not a run's record."""
    return path.is_file() and path.name != RECORD


@contextlib.contextmanager
def open_target(
    run: str | Path, *, store: str | Path | None = None, scratch: str | Path | None = None
) -> Iterator[Claim]:
    """Yield the claim of a run or bundle.

    Args:
        run: a run, as `open_run` takes it, its record.json, a bundle, or `hf://OWNER/NAME`.
        store: the store's folder; left out, found as `store_folder` says.
        scratch: the temporary folder that a bundle is unpacked in.

    Raises:
        InputError: there is no such run, or one of its documents is damaged; names it.
        FetchError: a repository of the hub cannot be fetched.
    """
    if is_hub_address(run):
        from .published import published

        root = Store(store_folder(store)).root
        with published(str(run), root, str(scratch) if scratch else None) as claim:
            yield claim
        return
    given = Path(run)
    if is_bundle(given):
        root = Store(store_folder(store)).root
        with unpacked(given, str(scratch) if scratch else None) as (folder, contents):
            # The auditor's own store may have what a bundle leaves out; it is hashed all the same.
            claim = open_claim(folder, given.name, (folder, root))
            check_contents(contents, claim)
            yield claim
        return
    if given.name == RECORD and given.is_file():
        run = given.parent
    past = open_run(run, store=store)
    yield open_claim(past.folder, past.folder.resolve().name, (past.store.root,))


def training_registry(claim: Claim, *, allow_local_plugins: bool) -> Registry:
    """Load the plugins that a claim's training needs, those of its plugin files if allowed.

    Raises:
        InputError: a plugin file that a step needs is missing or not allowed; names it.
        RegistryError: a plugin cannot be loaded.
    """
    registry = registry_of(claim.folder, claim.record, allow=allow_local_plugins)
    files = claim.plan.plugin_files() if claim.plan else frozenset()
    missing = not_loaded(claim.record, registry, files)
    if missing is not None:
        raise InputError(f"nothing can be trained again: {missing}")
    return registry
