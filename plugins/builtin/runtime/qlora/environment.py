"""Describe the machine and libraries of a training."""

from __future__ import annotations

import resource
import sys
from importlib.metadata import version
from pathlib import Path

import torch


def bits_depend_on(device: torch.device) -> dict[str, str]:
    """Return the environment that a checkpoint must share with the run that resumes from it."""
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


class PeakMemory:
    """The most memory held since it was made: on the GPU, or by this process on a CPU."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._reset = True
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            self.before = float(torch.cuda.memory_reserved(device))
            return
        self.before = float(_status("VmRSS") or 0)
        try:
            Path("/proc/self/clear_refs").write_text("5")  # the peak is reset here
        except OSError:
            self._reset = False

    def measured(self) -> dict[str, float | str]:
        """Return the peak memory, and that before training, for a record.

        On a GPU the peak is what torch's allocator held, and CUDA's context comes on top. Where a
        system cannot reset a process's peak, it is that of the whole process so far.
        """
        found: dict[str, float | str] = {"memory_before_bytes": self.before}
        if self._device.type == "cuda":
            return found | {
                "peak_memory_bytes": float(torch.cuda.max_memory_reserved(self._device)),
                "peak_memory_of": "torch's allocator",
            }
        whole = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        unit = 1 if sys.platform == "darwin" else 1024
        since = _status("VmHWM") if self._reset else None
        return found | {
            "peak_memory_bytes": float(since or whole * unit),
            "peak_memory_of": "the process while it trained" if since else "the process",
        }


def _status(key: str) -> int | None:
    """Return a number of bytes that Linux has of this process, or None elsewhere."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(x.split()[1]) * 1024 for x in lines if x.startswith(f"{key}:")), None)
