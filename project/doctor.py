"""Examine machine, libraries, store and network, and say what could not train, and why."""

from __future__ import annotations

import os
import re
import shutil
import time
from dataclasses import dataclass
from http.client import HTTPException
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from ..plugins.registry import load_registry
from ..plugins.toolkit.scrubbing import first_line, scrub
from ..runtime.environment import installed
from ..runtime.store.store import Store
from ..schema.errors import KhichdiError
from .extras import Extra, list_extras
from .machine import Machine, describe_machine
from .session import store_folder
from .store_upkeep import Usage, usage

TIMEOUT = 5.0
"""Seconds that the hub may take to answer."""

HUB = "https://huggingface.co"


@dataclass(frozen=True)
class Torch:
    """The installed torch: its version, and the CUDA or ROCm version that it was built with."""

    version: str
    cuda: str | None
    rocm: str | None


@dataclass(frozen=True)
class StoreState:
    """The store and its disk.

    Attributes:
        folder: the store's folder, whether or not it is there.
        used: its contents, or None where it is not there yet.
        free: bytes that are free on its disk.
        total: bytes of its disk.
        writable: whether it can be written, or made.
    """

    folder: Path
    used: Usage | None
    free: int
    total: int
    writable: bool


@dataclass(frozen=True)
class Reach:
    """Whether the hub answers: its address, the seconds it took, or the reason that it did not."""

    address: str
    seconds: float | None
    reason: str | None


@dataclass(frozen=True)
class Examination:
    """The state of an installation.

    Attributes:
        machine: processor, memory, GPUs.
        torch: the installed torch, or None.
        extras: the libraries of each extra.
        runtimes: for each training runtime, the libraries that it lacks.
        store: the store, and its disk.
        network: whether the hub answers; None where it was not asked.
        problems: what keeps this machine from training as it could.
    """

    machine: Machine
    torch: Torch | None
    extras: tuple[Extra, ...]
    runtimes: dict[str, tuple[str, ...]]
    store: StoreState
    network: Reach | None
    problems: tuple[str, ...]

    @property
    def can_train(self) -> bool:
        """Whether there is a training runtime with all its libraries, and room for its results."""
        return any(not lacks for lacks in self.runtimes.values()) and self.store.writable


def examine(store: str | Path | None = None, *, network: bool = False) -> Examination:
    """Examine this machine and the installation.

    Args:
        store: the store's folder; left out, found as `store_folder` says.
        network: ask the hub whether it answers, unless HF_HUB_OFFLINE is set.
    """
    problems = []
    try:
        runtimes = _runtimes()
    except KhichdiError as error:
        runtimes = {}
        problems.append(f"the plugins cannot be loaded: {error.message}")
    machine, torch, kept = describe_machine(), find_torch(), _store(store_folder(store))
    problems += _problems(machine, torch, runtimes, kept)
    reach = reach_hub() if network else None
    if reach is not None and reach.reason is not None:
        problems.append(f"the hub was not reached ({reach.reason}): `--mirror` replaces it")
    extras = tuple(list_extras())
    return Examination(machine, torch, extras, runtimes, kept, reach, tuple(problems))


def find_torch() -> Torch | None:
    """Return the installed torch, by its metadata and the text of its version file."""
    version = installed("torch")
    if version is None:
        return None
    try:
        path = Path(str(distribution("torch").locate_file("torch/version.py")))
        text = path.read_text(encoding="utf-8")
    except (OSError, PackageNotFoundError, UnicodeDecodeError):
        return Torch(version, None, None)
    built = dict(re.findall(r"(?m)^(cuda|hip)\b[^=\n]*= *'([^'\n]*)'", text))
    return Torch(version, built.get("cuda"), built.get("hip"))


def reach_hub() -> Reach:
    """Ask the hub, or HF_ENDPOINT, for one answer, whatever it is."""
    address = os.environ.get("HF_ENDPOINT") or HUB
    shown = scrub(address)
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}:
        return Reach(shown, None, "HF_HUB_OFFLINE is set")
    if not address.lower().startswith(("http://", "https://")):
        return Reach(shown, None, "HF_ENDPOINT is not an http address")
    started = time.monotonic()
    try:
        with urlopen(Request(address, method="HEAD"), timeout=TIMEOUT):
            pass
    except HTTPError as error:
        if error.code >= 500 or error.code == 407:
            return Reach(shown, None, f"it answered {error.code}")
    except (OSError, ValueError, HTTPException) as error:
        reason = getattr(error, "reason", None)  # urllib wraps the error that it met
        return Reach(shown, None, first_line(reason if isinstance(reason, OSError) else error))
    return Reach(shown, time.monotonic() - started, None)


def _runtimes() -> dict[str, tuple[str, ...]]:
    return {
        plugin.name: tuple(name for name in plugin.requires if installed(name) is None)
        for plugin in load_registry().classes("runtime")
    }


def _store(folder: Path) -> StoreState:
    there = next(path for path in (folder, *folder.parents) if path.exists())
    disk = shutil.disk_usage(there)
    used = usage(Store(folder)) if folder.is_dir() else None
    writable = there.is_dir() and os.access(there, os.W_OK | os.X_OK)
    return StoreState(folder, used, disk.free, disk.total, writable)


def _problems(
    machine: Machine,
    torch: Torch | None,
    runtimes: dict[str, tuple[str, ...]],
    store: StoreState,
) -> list[str]:
    found = []
    if runtimes and all(runtimes.values()):
        lacking = [f"`{name}` lacks {', '.join(lacks)}" for name, lacks in runtimes.items()]
        found.append(f"no training runtime has its libraries: {'; '.join(lacking)}")
    if machine.gpus and torch is not None and torch.cuda is None:
        found.append(
            f"torch {torch.version} is built without CUDA and cannot use the GPU: install a build "
            "with CUDA (https://pytorch.org/get-started/locally)"
        )
    if not store.writable:
        found.append(f"the store cannot be written: {store.folder}; choose one by `--store`")
    return found
