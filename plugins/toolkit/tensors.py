"""Compute digests of tensors in memory, equal to those of the files that hold them."""

from __future__ import annotations

import torch

from ...schema.digest import tensors_digest

DTYPES = {
    torch.float32: "F32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.uint8: "U8",
    torch.int8: "I8",
    torch.int32: "I32",
    torch.int64: "I64",
    torch.bool: "BOOL",
}
"""Names of types as safetensors has them, so that digests compare with files."""


def digest_of(tensors: dict[str, torch.Tensor]) -> str:
    """Return the tensors digest, with names of types as in safetensors."""
    return tensors_digest(described(tensors))


def described(
    tensors: dict[str, torch.Tensor],
) -> dict[str, tuple[str, tuple[int, ...], memoryview]]:
    """Return name of the type, shape and bytes of each tensor."""
    return {
        name: (DTYPES.get(t.dtype, str(t.dtype)), tuple(t.shape), _bytes(t))
        for name, t in tensors.items()
    }


def _bytes(tensor: torch.Tensor) -> memoryview:
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return memoryview(flat.view(torch.uint8).numpy()) if flat.numel() else memoryview(b"")
