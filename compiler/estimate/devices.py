"""A table of devices: memory and rates to estimate with.

khichdi measured nothing of this on the GPUs it names, and `recipe plan` says so beside every
number that comes from here.
"""

from __future__ import annotations

from ...schema.device import Device
from ...schema.did_you_mean import did_you_mean
from ...schema.errors import InputError

MIB = 1 << 20
TERA = 1e12


EAGER = 0.5
"""Share of the published matrix rate that a step comes to on a GPU, counted in all arithmetic it
does. torchtune's README has 2,413 tokens/s for QLoRA of Llama-3.1-8B with recomputation, compiled,
on an RTX 4090: 47 GFLOP a token make 114 TFLOP/s, 0.69 of 165; its own ladder has compilation at
+27 %, which leaves 0.54 for a step that is not compiled, as ours."""

LAUNCH = 2.5e-3
"""About 450 kernels a layer forward and backward, at 5 to 6 microseconds each."""


def _gpu(name: str, title: str, mib: int, tera: float, giga: float) -> Device:
    return Device(
        name=name,
        title=title,
        memory_bytes=mib * MIB,
        flops=tera * TERA,
        bandwidth=giga * 1e9,
        realised=EAGER,
        launch=LAUNCH,
    )


# Memory is what `nvidia-smi` shows in MiB as total. Rates are dense: half of what is
# published "with sparsity".
DEVICES = {
    device.name: device
    for device in (
        # NVIDIA, "Ada GPU architecture" white paper, appendix A: 165.2 TFLOP/s, 1,008 GB/s
        _gpu("rtx-4090", "NVIDIA GeForce RTX 4090", 24564, 165.2, 1008),
        # NVIDIA, "GA102 GPU architecture" white paper: 71 TFLOP/s, 936 GB/s
        _gpu("rtx-3090", "NVIDIA GeForce RTX 3090", 24576, 71.0, 936),
        # NVIDIA, "A100 Tensor Core GPU" data sheet: 312 TFLOP/s; 1,555 and (SXM) 2,039 GB/s
        _gpu("a100-40gb", "NVIDIA A100 40GB", 40960, 312.0, 1555),
        _gpu("a100-80gb", "NVIDIA A100 80GB", 81920, 312.0, 2039),
        # NVIDIA, "H100 Tensor Core GPU" data sheet, SXM: 989 TFLOP/s, 3.35 TB/s
        _gpu("h100", "NVIDIA H100 SXM", 81559, 989.4, 3350),
        # NVIDIA, "H200 Tensor Core GPU" data sheet, SXM: 989 TFLOP/s, 4.8 TB/s
        _gpu("h200", "NVIDIA H200 SXM", 143771, 989.4, 4800),
        # NVIDIA, "L4 Tensor Core GPU" data sheet: 121 TFLOP/s, 300 GB/s
        _gpu("l4", "NVIDIA L4", 23034, 121.0, 300),
        # Two cores of an AMD Zen 4 with AVX-512 bfloat16, measured: 400 to 435 GFLOP/s of matrix
        # products, 56 GB/s of copies; a step of SmolLM2-135M came to 65 % of it. A layer of the
        # quickstart, whose arithmetic hardly counts, took 28 ms.
        Device(
            name="cpu",
            title="two CPU cores with AVX-512 bfloat16",
            memory_bytes=None,
            flops=0.41 * TERA,
            bandwidth=56e9,
            realised=0.65,
            launch=25e-3,
            gpu=False,
        ),
    )
}
"""By name."""


def device_named(name: str) -> Device:
    """Return a device of the table.

    Raises:
        InputError: there is none of this name.
    """
    if name in DEVICES:
        return DEVICES[name]
    hint = did_you_mean(name, DEVICES)
    raise InputError(
        f"there is no device `{name}` in the table", hint=f"{hint}known: {', '.join(DEVICES)}"
    )
