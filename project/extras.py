"""Compare the libraries of each extra with those installed; nothing heavy is imported."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import requires

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ..runtime.environment import installed

NAME = "khichdi"

CORE = ""
"""Stands for what is installed without any extra."""

PURPOSES = {
    CORE: "read, check, hash and show recipes",
    "data": "read, filter and show rows; sources `http` and `huggingface`",
    "curate": "similarity of rows, identification of languages",
    "train": "train, evaluate, generate, chat and export",
    "serve": "`recipe serve`",
    "lm-eval": "the evaluator `lm-eval`",
    "report": "charts in reports",
    "flash": "faster attention on NVIDIA GPUs; without it torch's own is used",
    "torchao": "optimizers `adamw_torch_8bit` and `adamw_torch_4bit`",
    "proof": "`recipe sign` and `recipe verify`",
    "completion": "completion of commands in a shell (`recipe completion`)",
    "model-signing": "signatures of models in OpenSSF's format",
}
"""What each extra is for; those of the project's own development are left out."""


@dataclass(frozen=True)
class Library:
    """A library that an extra asks for.

    Attributes:
        name: the distribution.
        version: the installed version, or None.
        wanted: the versions that are asked for, such as `>=5.3`.
        fits: whether the installed version is one of them.
    """

    name: str
    version: str | None
    wanted: str
    fits: bool

    def __str__(self) -> str:
        if self.version is None:
            return f"{self.name} missing"
        return f"{self.name} {self.version}" + ("" if self.fits else f" (needs {self.wanted})")


@dataclass(frozen=True)
class Extra:
    """An extra with its libraries, those of the extras that it includes left to these.

    Attributes:
        name: the extra; `CORE` for what is always installed.
        purpose: what it is for.
        includes: other extras that it includes.
        libraries: its own libraries.
        ready: whether all are installed, those of included extras too.
    """

    name: str
    purpose: str
    includes: tuple[str, ...]
    libraries: tuple[Library, ...]
    ready: bool

    @property
    def install(self) -> str:
        """The command that installs it; the installed khichdi itself is kept."""
        return f"pip install '{NAME}[{self.name}]'" if self.name else f"pip install {NAME}"


def list_extras() -> list[Extra]:
    """Return every extra, what is always installed first.

    Raises:
        importlib.metadata.PackageNotFoundError: khichdi is not installed, only on the path.
    """
    asked = [Requirement(text) for text in requires(NAME) or ()]
    found: dict[str, Extra] = {}
    for name, purpose in PURPOSES.items():
        own = list(_of(asked, name))
        includes = tuple(sorted(extra for one in own if _is_own(one) for extra in one.extras))
        libraries = tuple(_library(one) for one in own if not _is_own(one))
        ready = all(one.fits for one in libraries) and all(found[one].ready for one in includes)
        found[name] = Extra(name, purpose, includes, libraries, ready)
    return list(found.values())


def _of(asked: list[Requirement], extra: str) -> Iterator[Requirement]:
    """Yield the requirements that an extra adds to what is always installed."""
    for one in asked:
        always = one.marker is None or one.marker.evaluate({"extra": CORE})
        wanted = one.marker is None or one.marker.evaluate({"extra": extra})
        if wanted and (extra == CORE or not always):
            yield one


def _is_own(one: Requirement) -> bool:
    return canonicalize_name(one.name) == NAME


def _library(one: Requirement) -> Library:
    version = installed(one.name)
    fits = version is not None and one.specifier.contains(version, prereleases=True)
    return Library(one.name, version, str(one.specifier), fits)
