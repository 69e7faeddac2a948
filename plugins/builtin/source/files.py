"""Read files from a folder of this machine."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from khichdi.plugins import Breach, Params, Pin, Source, operational
from khichdi.schema.errors import FetchError

from .globs import GLOBS_HELP, Glob


class FilesParams(Params):
    """Folder and file patterns."""

    folder: str = operational(
        ".",
        description=(
            "Folder of the files, relative to the recipe. Its contents are pinned, so the folder "
            "itself is outside the recipe hash."
        ),
        min_length=1,
    )
    include: tuple[Glob, ...] = Field(
        min_length=1, description=f"Files to read, as patterns relative to `folder`. {GLOBS_HELP}"
    )


class Files(Source[FilesParams]):
    """Read files from a folder on this machine."""

    name = "files"
    example = {"include": ["data/*.jsonl"]}
    local = True

    def local_folder(self, folder: Path) -> Path | None:
        """Return the folder that the files are in."""
        return folder / self.params.folder

    def missing(self, folder: Path) -> Sequence[Breach]:
        """Return the folder if it is not there, else each pattern that nothing in it matches."""
        from .missing_paths import missing_folder, missing_pattern

        root = folder / self.params.folder
        if not root.is_dir():
            return [missing_folder(root, ("folder",))]
        found = (
            missing_pattern(root.resolve(), pattern, ("include", index))
            for index, pattern in enumerate(self.params.include)
        )
        return [breach for breach in found if breach is not None]

    def pin(self, folder: Path) -> Pin:
        """Return every file that matches, by its path from `folder`."""
        from .transfer import chunks_of, pinned, write

        root = self._root(folder)
        found = {}
        for pattern in self.params.include:
            for path in root.glob(pattern):
                name = path.relative_to(root).as_posix()
                if name not in found and not path.is_dir():
                    self._check(path, root, name)
                    found[name] = path
        if not found:
            raise FetchError(
                f"no file in {root} matches {', '.join(self.params.include)}",
                hint="patterns start in `folder`, which starts where the recipe is; "
                "a folder's files are `name/*`",
            )
        files = []
        for name in sorted(found):
            try:
                with found[name].open("rb") as stream:
                    files.append(pinned(name, *write(chunks_of(stream), None)))
            except OSError as error:
                raise FetchError(f"{name} in {root}: {error.strerror or error}") from None
        return Pin(tuple(files))

    def fetch(self, pin: Pin, folder: Path, into: Path) -> None:
        """Copy the pinned files."""
        from .transfer import target

        root = self._root(folder)
        for file in pin.files:
            self._check(root / file.path, root, file.path)
            try:
                shutil.copyfile(root / file.path, target(into, file))
            except OSError as error:
                raise FetchError(f"{file.path}: {error.strerror or error}") from None

    def _root(self, folder: Path) -> Path:
        root = (folder / self.params.folder).resolve()
        if not root.is_dir():
            raise FetchError(
                f"there is no folder {root}",
                hint="`folder` starts where the recipe is",
            )
        return root

    def _check(self, path: Path, root: Path, name: str) -> None:
        """Refuse paths that are not files inside the folder."""
        real = path.resolve()
        if not real.is_relative_to(root):
            raise FetchError(
                f"{name} is a symbolic link to {real}, outside {root}",
                hint="copy the file into the folder, or name its own folder in `folder`",
            )
        if not real.exists():
            raise FetchError(
                f"there is no file {name} in {root}",
                hint="it was moved since it was pinned, or is a symbolic link to nothing",
            )
        if not real.is_file():
            raise FetchError(
                f"{name} in {root} is not a plain file",
                hint="sockets, pipes and devices have no bytes to pin: leave it out of `include`",
            )
