"""Describe the environment of a run for its record, never for a digest; nothing personal."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from ..schema.lock import Distribution

PACKAGES = (
    "khichdi",
    "accelerate",
    "bitsandbytes",
    "datasets",
    "flash-attn",
    "huggingface_hub",
    "numpy",
    "peft",
    "pyarrow",
    "pydantic",
    "safetensors",
    "tokenizers",
    "torch",
    "torchao",
    "transformers",
)


def environment() -> dict[str, Any]:
    """Return versions and hardware, from an allow-list; imports no heavy library."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "packages": {name: found for name in PACKAGES if (found := installed(name))},
    }


def installed(name: str) -> str | None:
    """Return the version of an installed distribution, or None where it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def distributions() -> tuple[Distribution, ...]:
    """Return every distribution of this interpreter by name and version, sorted, each once."""
    from importlib.metadata import distributions as installed_ones

    found: dict[str, str] = {}
    for one in installed_ones():
        metadata = one.metadata  # each access reads the file again
        if metadata["Name"]:
            # The first on the path is the one that is imported.
            found.setdefault(metadata["Name"], metadata["Version"] or "0")
    return tuple(Distribution(name=name, version=found[name]) for name in sorted(found))


def _cpu() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"
