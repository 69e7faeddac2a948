"""Describe this machine as training meets it: processor, memory, GPUs; torch is not imported."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from ..runtime.environment import environment

PATIENCE = 10.0
"""Seconds that nvidia-smi may take."""

ASKED = ("name", "memory.total", "driver_version", "compute_cap")
"""What nvidia-smi is asked for, in this order."""

GROUP = Path("/sys/fs/cgroup")
"""The control group of this process, as a container sees it (version 2)."""


@dataclass(frozen=True)
class Gpu:
    """An NVIDIA GPU: its memory in bytes, and None for what the driver does not say."""

    name: str
    memory: int | None
    driver: str | None
    compute_capability: str | None


@dataclass(frozen=True)
class Machine:
    """Processor, memory and GPUs.

    Attributes:
        system: operating system and architecture.
        python: the version of Python.
        cpu: the kind of processor.
        cores: cores that this process may use.
        memory: bytes that this process may use, of a container its limit; None if unknown.
        free: bytes of the machine that are available now; None if unknown.
        gpus: the GPUs that nvidia-smi lists.
        gpu_note: why none is listed, or None.
    """

    system: str
    python: str
    cpu: str
    cores: int
    memory: int | None
    free: int | None
    gpus: tuple[Gpu, ...]
    gpu_note: str | None


def describe_machine() -> Machine:
    """Look at the machine; nothing is measured, and nothing but nvidia-smi is started."""
    known = environment()
    gpus, note = list_gpus()
    memory = _memory()
    free = _meminfo("MemAvailable")
    return Machine(
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=known["python"],
        cpu=known["cpu"],
        cores=_cores(),
        memory=memory,
        free=None if free is None else min(free, memory or free),
        gpus=gpus,
        gpu_note=note,
    )


def list_gpus() -> tuple[tuple[Gpu, ...], str | None]:
    """Return the GPUs that nvidia-smi lists, and where there are none the reason."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return (), "nvidia-smi is not on the PATH"
    command = [program, f"--query-gpu={','.join(ASKED)}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=PATIENCE, check=False, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        return (), f"nvidia-smi did not answer within {PATIENCE:.0f} s"
    except OSError as error:
        return (), f"nvidia-smi cannot be run: {error.strerror or error}"
    text = done.stdout.decode(errors="replace")
    if done.returncode:
        said = (done.stderr.decode(errors="replace") + text).strip().splitlines()
        return (), f"nvidia-smi failed: {said[0] if said else f'status {done.returncode}'}"
    gpus = gpus_of(text)
    return gpus, None if gpus else "nvidia-smi lists none"


def gpus_of(text: str) -> tuple[Gpu, ...]:
    """Return the GPUs of nvidia-smi's answer to `ASKED`, a line each."""
    found = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.rsplit(",", len(ASKED) - 1)]
        if len(cells) == len(ASKED):
            name, memory, driver, capability = cells
            size = int(memory) * 2**20 if memory.isdecimal() else None
            found.append(Gpu(name, size, _known(driver), _known(capability)))
    return tuple(found)


def _known(cell: str) -> str | None:
    """Return a cell; what the driver cannot say is in brackets, as `[N/A]`."""
    return None if not cell or cell.startswith("[") else cell


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory() -> int | None:
    total = _meminfo("MemTotal")
    if total is None and hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        limit = (GROUP / "memory.max").read_text().strip()
    except OSError:
        return total
    return min(total or int(limit), int(limit)) if limit.isdecimal() else total


def _meminfo(name: str) -> int | None:
    """Return a value of /proc/meminfo in bytes."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    found = (line.split() for line in lines if line.startswith(f"{name}:"))
    return next((int(words[1]) * 1024 for words in found), None)
