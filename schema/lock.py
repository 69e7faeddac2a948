"""Lock document: the exact bytes of every source and weight, kept beside the recipe."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field

from .digest import digest, manifest_digest
from .document import Digest, Document, PathBelow, unique
from .seal import Sealed


class PinnedFile(Document):
    """One file of a source.

    `path` is relative to the source, with forward slashes, and never leaves it. `url` is where
    the bytes were, for sources that need it to fetch them again.
    """

    path: PathBelow
    size: int = Field(ge=0)
    sha256: Digest
    url: str | None = None


class Material(Document):
    """One source, pinned.

    `request` is the digest of the recipe's request: when the recipe asks for something
    else, the material is stale. `revision` is the immutable one (a commit), where there is one.
    """

    use: str
    request: Digest
    revision: str | None = None
    files: Annotated[tuple[PinnedFile, ...], unique("path")]

    def manifest(self) -> str:
        """Return the digest that binds each path to its bytes."""
        return manifest_digest({f.path: (f.size, f.sha256) for f in self.files})


class Distribution(Document):
    """An installed distribution, or a plugin file beside the recipe, that plugins came from.

    `files` binds the path and the bytes of each of its files; None in documents from before it
    was kept. An `editable` one may change at any moment: its digest is of that moment. A `local`
    one is a plugin file: `name` is its path seen from the recipe, `files` the sha256 of its bytes,
    `version` the first digits of that.
    """

    name: str
    version: str
    files: Digest | None = None
    editable: bool = False
    local: bool = Field(False, exclude_if=lambda local: not local)


class Lock(Sealed):
    """All materials by the name of the step that brings them, and the plugins' distributions.

    Its text is sorted and indented, so that it reads well in a review.
    """

    indent: ClassVar[int] = 2
    sort_keys: ClassVar[bool] = True

    lock: Literal[1] = 1
    recipe: str
    language: int
    materials: dict[str, Material]
    plugins: Annotated[tuple[Distribution, ...], unique("name")] = ()

    def only(self, steps: Collection[str]) -> Self:
        """Return the lock without materials of other steps, such as of sources since removed."""
        kept = {name: one for name, one in self.materials.items() if name in steps}
        return self.model_copy(update={"materials": kept})


def request_digest(use: str, version: int, params: dict[str, Any], file: str | None = None) -> str:
    """Return the digest of a recipe's request to a source; `file` is of a local plugin's file."""
    asked = {"use": use, "version": version, "params": params}
    return digest("request", asked | ({"file": file} if file else {}))
