"""The exporter `npz`."""

from __future__ import annotations

import shutil
from typing import Literal

from khichdi.plugins import Exporter, ExportJob, Params, StepError, hookimpl
from pydantic import Field


class NpzParams(Params):
    """How the tensors are stored."""

    dtype: Literal["float32", "float16"] = Field(
        "float32", description="Type of the tensors; float16 halves the size."
    )


class Npz(Exporter[NpzParams]):
    """Write the adapter as a NumPy archive, for tools that have no PyTorch."""

    name = "npz"
    requires = ("numpy", "torch", "safetensors")

    def export(self, job: ExportJob) -> None:
        """Write `adapter.npz` and `adapter.json` to `job.output`."""
        import numpy as np
        from safetensors.torch import load_file

        tensors = load_file(job.adapter / "adapter_model.safetensors")
        limit = np.finfo(self.params.dtype).max
        arrays = {}
        for name, tensor in sorted(tensors.items()):
            array = tensor.float().numpy()
            if array.size and abs(array).max() > limit:
                raise StepError(
                    f"{name} has values beyond {self.params.dtype}",
                    hint="store it as `dtype: float32`",
                )
            arrays[name] = array.astype(self.params.dtype)
        np.savez(job.output / "adapter.npz", **arrays)
        shutil.copyfile(job.adapter / "adapter_config.json", job.output / "adapter.json")


@hookimpl
def khichdi_exporters() -> list[type[Npz]]:
    """Return the plugins of this distribution."""
    return [Npz]
