"""Write a run to one file that an auditor can verify."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..runtime.bundle.write import bundle, states_size
from ..runtime.hub.address import is_hub_address
from ..schema.bundle import Contents
from ..schema.errors import InputError
from .audit_target import is_bundle, open_target


@dataclass(frozen=True)
class Bundled:
    """A bundle: its file and contents.

    Attributes:
        file: where it is.
        contents: what it says it holds.
        states: how many of its bytes are training states.
        unread: files that were not searched for secrets, because they are binary.
    """

    file: Path
    contents: Contents
    states: int
    unread: list[str]


def bundle_run(
    run: str | Path,
    output: str | Path | None = None,
    *,
    data: bool = False,
    weights: bool = False,
    states: bool = True,
    allowed: tuple[str, ...] = (),
    store: str | Path | None = None,
) -> Bundled:
    """Bundle a run.

    Args:
        run: a run, as `open_run` takes it, or its record.json.
        output: the file to write; left out, the recipe's name with `.bundle`.
        data: include sources, rows and packs.
        weights: include the base model's files.
        states: include the states that segments of the training are replayed from.
        allowed: words that look personal but are not.
        store: the store's folder; left out, found as `store_folder` says.

    Raises:
        InputError: there is no such run, or something in it must not leave this machine.
    """
    if is_bundle(Path(run)) or is_hub_address(run):
        raise InputError(f"{run} is a bundle already, or has one", hint="name a run")
    with open_target(run, store=store) as claim:
        file = Path(output or f"{claim.record.recipe}.bundle")
        contents, unread = bundle(
            claim, file, data=data, weights=weights, states=states, allowed=allowed
        )
        return Bundled(file, contents, states_size(claim, contents), unread)
