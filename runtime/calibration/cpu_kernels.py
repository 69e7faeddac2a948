"""Emulate other hardware on one machine, by CPU kernels that sum in another order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from ...plugins import Runtime
from ...schema.plan import PluginRef

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
    """A substitute for other hardware.

    Attributes:
        name: in words; empty for this machine as it is.
        environment: variables of the process.
        params: parameters of plugins that change the calculation but not its meaning.
    """

    name: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)

    def on(self, plugin: PluginRef) -> PluginRef:
        """Return a plugin with these parameters, those that it has."""
        known = {name: value for name, value in self.params.items() if name in plugin.params}
        return plugin.model_copy(update={"params": {**plugin.params, **known}})


HERE = Setting()


def settings(device: str, runtime: Runtime[Any]) -> Iterator[Setting]:
    """Yield settings that differ from how a run was done, those first that most likely matter.

    Args:
        device: what the run was done on, as its runtime measured it: `cpu AVX512`, or a GPU.
        runtime: the runtime with the run's parameters.
    """
    cpu = not device or device.startswith("cpu")
    ways: list[list[Setting]] = [_ways(INSTRUCTIONS), _ways(LIBRARY)] if cpu else [_ways(GPU)]
    for choices in runtime.rounded_otherwise(not cpu):
        ways.append([HERE, *(Setting(name, params=params) for name, params in choices.items())])
    # What most often matters, alone and together; then what often gives the same bits again.
    likely = [ways[0], *(way[:2] for way in ways[1:3])]
    first = sorted(_mixed(likely), key=lambda parts: (len(parts) != 1, -len(parts)))
    rest = sorted(_mixed(ways), key=len)
    told = [_together(parts) for parts in [*first, *rest]]
    yield from {setting.name: setting for setting in told}.values()


def _mixed(ways: list[list[Setting]]) -> list[list[Setting]]:
    """Return every choice of one of each way, as the settings that change something."""
    found = ([part for part in parts if part.name] for parts in product(*ways))
    return [parts for parts in found if parts]


def _ways(named: dict[str, dict[str, str]]) -> list[Setting]:
    return [Setting(name, environment) for name, environment in named.items()]


def _together(parts: list[Setting]) -> Setting:
    environment: dict[str, str] = {}
    params: dict[str, Any] = {}
    for part in parts:
        environment |= part.environment
        params |= part.params
    return Setting(", ".join(part.name for part in parts), environment, params)
