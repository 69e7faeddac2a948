"""Fetch files from a wheel of a Python package index."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import Field

from khichdi.plugins import Params, Pin, Source
from khichdi.schema.digest import file_sha256
from khichdi.schema.errors import FetchError

from .globs import GLOBS_HELP, Glob


class PypiParams(Params):
    """Package, version and file patterns."""

    package: str = Field(
        pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$", description="Package name."
    )
    version: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.!+_-]*$", description="Exact version.")
    include: tuple[Glob, ...] = Field(
        min_length=1, description=f"Files inside the wheel, as patterns. {GLOBS_HELP}"
    )


class Pypi(Source[PypiParams]):
    """Fetch files from a wheel, from the package index that pip is configured for."""

    name = "pypi"
    example = {"package": "certifi", "version": "2025.1.31", "include": ["certifi/*.pem"]}

    def title(self) -> str | None:
        """Return the name of the package."""
        return self.params.package

    def package_url(self) -> str | None:
        """Return `pkg:pypi/name`."""
        return f"pkg:pypi/{self.params.package.lower().replace('_', '-')}"

    def pin(self, folder: Path) -> Pin:
        """Download the wheel and pin the members that match; each names the wheel's digest."""
        from .globs import choose
        from .transfer import chunks_of, pinned, write

        with TemporaryDirectory(prefix="khichdi-") as scratch:
            wheel = self._download(Path(scratch), [])
            origin = f"{wheel.name}#{file_sha256(wheel).replace(':', '=')}"
            with _open(wheel) as archive:
                members = {info.filename: info for info in archive.infolist() if not info.is_dir()}
                chosen = choose(members, self.params.include)
                files = []
                for name in chosen:
                    with archive.open(name) as stream:
                        files.append(pinned(name, *write(chunks_of(stream), None), origin))
            if not files:
                raise FetchError(
                    f"no file in {wheel.name} matches {', '.join(self.params.include)}",
                    hint=f"it has, among others: {', '.join(sorted(members)[:5])}",
                )
        return Pin(tuple(files), revision=self.params.version)

    def fetch(self, pin: Pin, folder: Path, into: Path) -> None:
        """Download the pinned wheel and take the pinned members out of it."""
        from .transfer import chunks_of, target, write

        origins = sorted({file.url or "" for file in pin.files})
        if len(origins) != 1 or "#sha256=" not in origins[0]:
            raise FetchError("the lock does not name the wheel", hint="pin it again: `recipe lock`")
        name, sha256 = origins[0].split("#sha256=", 1)
        with TemporaryDirectory(prefix="khichdi-", dir=into) as scratch:
            wheel = self._download(Path(scratch), _platform(name))
            found = file_sha256(wheel).removeprefix("sha256:")
            if found != sha256:
                raise FetchError(
                    f"{wheel.name} has sha256 {found}, pinned is {sha256} ({name})",
                    hint="the index gives another wheel than the one that was pinned: look at "
                    "`pip config list`, or pin again with `recipe lock`",
                )
            with _open(wheel) as archive:
                for file in pin.files:
                    try:
                        member = archive.getinfo(file.path)
                    except KeyError:
                        raise FetchError(f"{wheel.name} has no {file.path}") from None
                    if member.file_size != file.size:  # no more than that is ever unpacked
                        raise FetchError(
                            f"{file.path} of {wheel.name} has {member.file_size:,} bytes, pinned "
                            f"are {file.size:,}",
                            hint="the lock is not of this wheel: pin it again with `recipe lock`",
                        )
                    with archive.open(member) as stream:
                        write(chunks_of(stream), target(into, file))

    def place(self) -> str | None:
        """Return `pypi/PACKAGE/VERSION`; the wheel's files lie there taken out."""
        return f"pypi/{self.params.package}/{self.params.version}"

    def chosen(self, paths: Sequence[str], folder: Path | None) -> list[str]:
        """Return the paths that match `include`."""
        from .globs import choose

        return choose(paths, self.params.include)

    def _download(self, scratch: Path, options: list[str]) -> Path:
        """Download the wheel with pip, with the user's own index, proxy and credentials."""
        from importlib.util import find_spec

        from khichdi.plugins.toolkit import WITHOUT_NETWORK

        from .transfer import run

        if find_spec("pip") is None:
            raise FetchError(
                f"{sys.executable} has no pip to download with",
                hint="install it: `python -m ensurepip` (uv: `uv pip install pip`)",
            )
        wanted = f"{self.params.package}=={self.params.version}"
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
        command += ["--no-input", "--disable-pip-version-check", "--quiet"]
        command += ["--dest", str(scratch), *options, wanted]
        run(
            command,
            f"pip could not download {wanted}",
            "look at name and version, the network, and `pip config list` for the index; "
            f"only wheels are looked for; {WITHOUT_NETWORK}",
        )
        wheels = sorted(scratch.glob("*.whl"))
        if len(wheels) != 1:
            raise FetchError(f"pip downloaded {len(wheels)} wheels for {wanted}; one was expected")
        return wheels[0]


def _open(wheel: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(wheel)
    except zipfile.BadZipFile as error:
        raise FetchError(f"{wheel.name} is not a whole wheel: {error}") from None


def _platform(wheel: str) -> list[str]:
    """Return the options that make pip download this very wheel on any platform."""
    tags = wheel.removesuffix(".whl").split("-")[-3:]
    if len(tags) != 3 or tags[2] == "any":
        return []
    python, abi, platforms = tags
    options = ["--implementation", python[:2], "--python-version", python[2:], "--abi", abi]
    return options + [word for name in platforms.split(".") for word in ("--platform", name)]
