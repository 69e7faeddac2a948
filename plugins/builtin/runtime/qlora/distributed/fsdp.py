"""Shard the frozen base over processes by torch's fully sharded data parallel (FSDP).

The layers are sharded as they are stored: packed weights travel as packed bytes and are unpacked
where they are used. Trained parameters, the embeddings, the head and the scales of packed weights
stay whole in each process. Only bytes move, so no bit of a result does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from khichdi.schema.errors import StepError

STATES = ("quant_state", "SCB")
"""Attributes of a packed weight of bitsandbytes that dequantization needs."""


def shard(model: Any, trained: Sequence[torch.nn.Parameter], device: torch.device) -> None:
    """Leave to this process its part of each layer; afterwards the model is on the device.

    To be called when the forwards of `plugins.linears` are in place: those of bitsandbytes look
    for what a sharded weight no longer has.

    Raises:
        StepError: the model has no layers that are known, or an adapter that reads base weights.
    """
    import torch.distributed as dist
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    causal = model.get_base_model()
    inner = causal.base_model
    layers = _layers(causal, inner)
    _refuse(model)
    mesh = init_device_mesh(device.type, (dist.get_world_size(),))
    for layer in layers:
        layer.to(device)  # one by one: the device never holds them all
        states = _strip(layer)
        keep = {p for p in layer.parameters() if any(p is one for one in trained)}
        fully_shard(layer, mesh=mesh, reshard_after_forward=True, ignored_params=keep)
        layer.unshard()
        for linear, state in states:
            # The gathered weight is one object from now on, which is filled and emptied.
            for name, value in state.items():
                setattr(linear.weight, name, value)
        layer.reshard()
    model.to(device)
    sharded = {id(p) for layer in layers for p in layer.parameters()}
    rest = {p for p in inner.parameters() if id(p) not in sharded}
    fully_shard(inner, mesh=mesh, ignored_params=rest | set(trained))


def _layers(causal: Any, inner: Any) -> list[Any]:
    """Return the decoder layers, as transformers names what must not be split."""
    names = set(getattr(causal, "_no_split_modules", None) or ())
    layers = [module for module in inner.modules() if type(module).__name__ in names]
    if not layers:
        raise StepError(
            f"{type(causal).__name__} does not declare its layers, so it cannot be sharded",
            hint="launch it with strategy=ddp",
        )
    return layers


def _refuse(model: Any) -> None:
    """Raise `StepError` for an adapter that looks at base weights itself."""
    for module in model.modules():
        if getattr(module, "lora_variant", None):
            kind = next(iter(module.lora_variant.values()))
            raise StepError(
                f"{type(kind).__name__.removesuffix('LinearVariant')} reads the base's weights, "
                "which are not whole in any process",
                hint="launch it with strategy=ddp",
            )


def _strip(layer: Any) -> list[tuple[Any, dict[str, Any]]]:
    """Make packed weights plain tensors; return the modules with what their weights carried."""
    found = []
    for module in layer.modules():
        weight: Any = getattr(module, "weight", None)
        state = {n: getattr(weight, n) for n in STATES if getattr(weight, n, None) is not None}
        if not state or not isinstance(module, torch.nn.Linear):
            continue
        plain = weight.data.as_subclass(torch.Tensor)
        module.weight = torch.nn.Parameter(plain, requires_grad=False)
        found.append((module, state))
    return found
