"""What stands for other hardware on one machine: other kernels, which sum in another order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from ....schema.plan import PluginRef

INSTRUCTIONS: dict[str, dict[str, str]] = {
    "": {},
    "AVX2 in torch": {"ATEN_CPU_CAPABILITY": "avx2"},
    "no vector code in torch": {"ATEN_CPU_CAPABILITY": "default"},
}
"""Read by torch when it is loaded."""

LIBRARY: dict[str, dict[str, str]] = {
    "": {},
    "AVX2 in oneDNN": {"ONEDNN_MAX_CPU_ISA": "AVX2"},
    "SSE4.1 in oneDNN": {"ONEDNN_MAX_CPU_ISA": "SSE41"},
}
"""Read by oneDNN, which multiplies 16-bit matrices for torch, when it is first used."""

GPU: dict[str, dict[str, str]] = {
    "": {},
    "TF32": {"NVIDIA_TF32_OVERRIDE": "1"},
    "no cuBLASLt": {"TORCH_BLAS_PREFER_CUBLASLT": "0", "DISABLE_ADDMM_CUDA_LT": "1"},
}
"""Read by cuBLAS and by torch when they are first used."""


@dataclass(frozen=True)
class Setting:
    """One stand-in for other hardware.

    Attributes:
        name: in words; empty for this machine as it is.
        environment: variables of the process.
        params: parameters of plugins that are part of the calculation but not of what is meant.
    """

    name: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)

    def on(self, plugin: PluginRef) -> PluginRef:
        """Return a plugin with these parameters, those that it has."""
        known = {name: value for name, value in self.params.items() if name in plugin.params}
        return plugin.model_copy(update={"params": {**plugin.params, **known}})


HERE = Setting()


def settings(device: str, plugin: PluginRef) -> Iterator[Setting]:
    """Yield settings that differ from how a run was done; early ones differ in most ways.

    Args:
        device: what the run was done on, as its runtime measured it: `cpu AVX512`, or a GPU.
        plugin: the runtime with the run's parameters.
    """
    cpu = not device or device.startswith("cpu")
    places = [INSTRUCTIONS, LIBRARY] if cpu else [GPU]
    attention = {"": {}} | {
        f"attention {name}": {"attn_implementation": name}
        for name in ("sdpa", "eager")
        if plugin.params.get("attn_implementation") not in (None, name)
    }
    threads: dict[str, dict[str, Any]] = {"": {}}
    if cpu and "cpu_threads" in plugin.params:
        other = 1 if plugin.params["cpu_threads"] == 2 else 2
        threads[f"{other} thread{'s' * (other > 1)}"] = {"cpu_threads": other}
    found = []
    for parts in product(*(place.items() for place in [*places, attention, threads])):
        names = [name for name, _ in parts if name]
        if not names:
            continue
        environment = {k: v for _, values in parts[: len(places)] for k, v in values.items()}
        params = {k: v for _, values in parts[len(places) :] for k, v in values.items()}
        found.append((len(names), Setting(", ".join(names), environment, params)))
    # First each way by itself, then the other end: everything at once, and inwards from there.
    alone = [setting for count, setting in found if count == 1]
    mixed = sorted((pair for pair in found if pair[0] > 1), key=lambda pair: -pair[0])
    yield from alone
    yield from (setting for _, setting in mixed)
