"""The kind that brings bytes: data sets, base models, further files of filters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ...schema.lock import PinnedFile
from ..base import P, Plugin


@dataclass(frozen=True)
class Pin:
    """What a source resolved to: an immutable revision where there is one, and every file."""

    files: tuple[PinnedFile, ...]
    revision: str | None = None


class Source(Plugin[P], ABC):
    """Brings bytes. `pin` says exactly which, `fetch` brings those and no others.

    `local` says that the bytes lie on this machine and may be edited: they are then compared
    with the lock before every run, also when no step has to read them again.
    """

    kind = "source"
    local: ClassVar[bool] = False

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

    def place(self) -> str | None:
        """Return where the source's files lie in a mirror, `huggingface/datasets/GAIR/lima`.

        None, as here, says that a mirror cannot stand in for it.
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
