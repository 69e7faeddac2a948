"""The kind that downloads bytes: data sets, base models, further files of filters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from ...schema.lock import PinnedFile
from ..base import P, Plugin
from .breach import Breach


@dataclass(frozen=True)
class Pin:
    """The pinned state of a source: an immutable revision where there is one, and every file."""

    files: tuple[PinnedFile, ...]
    revision: str | None = None


class Source(Plugin[P], ABC):
    """Downloads bytes: `pin` decides exactly which, `fetch` downloads those and no others.

    `local` means that the bytes are on this machine and may be edited: they are then compared
    with the lock before every run, also when no step has to read them again. `single_files` means
    that `fetch` downloads one pinned file without the bytes of the others: `recipe lock` then
    reads a base's `config.json` before its weights are fetched.
    """

    kind = "source"
    local: ClassVar[bool] = False
    single_files: ClassVar[bool] = False

    @abstractmethod
    def pin(self, folder: Path) -> Pin:
        """Resolve the parameters to files with size and sha256.

        `folder` is where the recipe file lies; relative paths start there. Called by
        `recipe lock` only. Raises `FetchError` when the place cannot be reached or has nothing.
        """

    @abstractmethod
    def fetch(self, pin: Pin, folder: Path, into: Path) -> None:
        """Write every pinned file to `into / file.path`; the caller compares size and sha256.

        Raises `FetchError`.
        """

    def title(self) -> str | None:
        """Return the public name of a repository or package that it fetches, such as `owner/name`.

        An adapter's config names its base by it, and the table of known models is searched for
        it. None, as here, where the source has no name but a place on some machine.
        """
        return None

    def origin(self) -> str | None:
        """Return where the bytes come from, for people: a repository, a package or an address."""
        return self.title()

    def package_url(self) -> str | None:
        """Return the package URL (purl) of its package, without a version, for bills of material.

        None, as here, where no type of the purl specification fits.
        """
        return None

    def local_folder(self, folder: Path) -> Path | None:
        """Return where its files lie before they are fetched, if that is on this machine.

        `folder` is the recipe's own. A `config.json` there is read for estimates.
        """
        return None

    def missing(self, folder: Path) -> Sequence[Breach]:
        """Return what the parameters name and this machine does not have, for `recipe validate`.

        Asked of `local` sources only. It must be fast: look at names, open nothing. `folder` is
        the recipe's own; the path of a breach starts at the source. Empty, as here, means that
        nothing is known to be missing.
        """
        return ()

    def misuse(self, role: Literal["model", "dataset"]) -> Breach | None:
        """Return why the source cannot provide a base model, or rows, as the recipe asks it to.

        The path of the breach starts at the source. None, as here, has no objection.
        """
        return None

    def place(self) -> str | None:
        """Return where the source's files lie in a mirror, `huggingface/datasets/GAIR/lima`.

        None, as here, means that a mirror cannot replace it.
        """
        return None

    def chosen(self, paths: Sequence[str], folder: Path | None) -> list[str]:
        """Return those of a mirror's paths that the parameters ask for.

        `folder` is where they lie, or None where they are not on this machine.
        """
        return list(paths)


@dataclass(frozen=True)
class SourceFile:
    """A fetched file: its path inside the source, and where its bytes lie."""

    path: str
    location: Path
