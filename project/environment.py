"""Describe the environment of a command: machine, libraries and settings, with their origins.

Nothing is judged here: `doctor` says what is missing and what to do. Values of tokens are not
shown.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..plugins.toolkit.scrubbing import scrub
from ..runtime.environment import installed
from .doctor import HUB, Torch, find_torch
from .extras import NAME, list_extras
from .machine import describe_machine
from .mirrors import VARIABLE as MIRROR
from .quota import VARIABLE as QUOTA
from .session import store_folder
from .settings import settings_file, user_setting

SECRET = "set, not shown"
DEFAULT = "default"
MACHINE = "this machine"


@dataclass(frozen=True)
class Fact:
    """A line of the table.

    Attributes:
        group: `machine`, `libraries` or `settings`.
        name: what it is.
        value: its value in words; None where there is none.
        origin: where the value comes from: an option, a variable, a file, a package, a default.
    """

    group: str
    name: str
    value: str | None
    origin: str


VARIABLES = {
    "KHICHDI_WORKERS": "one for each core",
    "KHICHDI_PLUGINS": "all installed",
    "KHICHDI_PATIENCE": "3600",
    "HF_ENDPOINT": HUB,
    "HF_HOME": "~/.cache/huggingface",
    "HF_HUB_OFFLINE": None,
    "CUDA_VISIBLE_DEVICES": None,
    "OMP_NUM_THREADS": None,
    "HTTPS_PROXY": None,
    "NO_COLOR": None,
}
"""Variables that change what commands do, with the value that holds where they are not set."""

TOKENS = ("HF_TOKEN", "KHICHDI_SERVE_TOKEN")


def environment_facts(store: str | Path | None = None) -> list[Fact]:
    """Return the table, machine first.

    Args:
        store: the value of `--store`; None where it was not given.
    """
    return [*_machine(), *_libraries(), *_settings(store, os.environ)]


def _machine() -> Iterator[Fact]:
    machine = describe_machine()
    yield Fact("machine", "system", machine.system, MACHINE)
    yield Fact("machine", "Python", machine.python, MACHINE)
    yield Fact("machine", "processor", machine.cpu, MACHINE)
    yield Fact("machine", "cores", str(machine.cores), MACHINE)
    memory = None if machine.memory is None else f"{machine.memory:,} bytes"
    yield Fact("machine", "memory", memory, MACHINE)
    for gpu in machine.gpus:
        words = f"{gpu.name}, driver {gpu.driver or 'unknown'}"
        yield Fact("machine", "GPU", words, "nvidia-smi")
    if not machine.gpus:
        yield Fact("machine", "GPU", None, str(machine.gpu_note))


def _libraries() -> Iterator[Fact]:
    yield Fact("libraries", NAME, installed(NAME), "installed")
    torch = find_torch()
    if torch is not None:
        built = [f"{name} {version}" for name, version in _builds(torch) if version]
        words = ", ".join(built) or "processors"
        yield Fact("libraries", "torch is built for", words, "torch/version.py")
    seen: set[str] = set()
    for extra in list_extras():
        wanted_by = f"extra {extra.name}" if extra.name else "always needed"
        for library in extra.libraries:
            if library.name not in seen:
                seen.add(library.name)
                yield Fact("libraries", library.name, library.version, wanted_by)


def _builds(torch: Torch) -> tuple[tuple[str, str | None], ...]:
    return (("CUDA", torch.cuda), ("ROCm", torch.rocm))


def _settings(store: str | Path | None, variables: Mapping[str, str]) -> Iterator[Fact]:
    path = settings_file()
    yield Fact("settings", "settings file", str(path), "there" if path.is_file() else "not there")
    origin = "--store" if store else "KHICHDI_STORE" if variables.get("KHICHDI_STORE") else DEFAULT
    yield Fact("settings", "store", str(store_folder(store)), origin)
    for name, variable in (("mirror", MIRROR), ("quota", QUOTA)):
        yield Fact("settings", name, *_setting(name, variable, variables))
    for name, default in VARIABLES.items():
        value = variables.get(name)
        if value is None:
            yield Fact("settings", name, default, DEFAULT if default else "not set")
        else:
            yield Fact("settings", name, scrub(value), "environment")
    for name in TOKENS:
        there = bool(variables.get(name))
        origin = "environment" if there else "not set"
        yield Fact("settings", name, SECRET if there else None, origin)


def _setting(name: str, variable: str, variables: Mapping[str, str]) -> tuple[str | None, str]:
    """Return a setting that a variable or the settings file gives, as commands look for it."""
    value = variables.get(variable)
    if value is not None:
        return scrub(value) or None, variable
    value = user_setting(name, "text")
    return (None, "not set") if value is None else (scrub(value), "settings file")
