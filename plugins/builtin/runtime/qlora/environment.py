"""What machine and libraries a training runs on."""

from __future__ import annotations

import resource
from importlib.metadata import version

import torch


def bits_depend_on(device: torch.device) -> dict[str, str]:
    """Return what a checkpoint must share with the run that goes on from it."""
    found = {name: version(name) for name in ("torch", "transformers", "peft")}
    try:
        found["bitsandbytes"] = version("bitsandbytes")
    except ImportError:
        found["bitsandbytes"] = "none"
    if device.type == "cuda":
        found["device"] = torch.cuda.get_device_name(device)
    else:
        found["device"] = f"cpu {torch.backends.cpu.get_cpu_capability()}"
    return found


def peak_memory(device: torch.device) -> float:
    """Return the most bytes held so far: on the GPU, or by this process on a CPU."""
    if device.type == "cuda":
        return float(torch.cuda.max_memory_reserved(device))
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
