"""Replace a model's norms, SwiGLU and rotary embeddings by Liger kernels on a GPU.

Only these: its cross entropies would make logits that the runtime never makes. None of the three
tries kernels and keeps the fastest, so that bits come again on one model of GPU.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import torch

from khichdi.schema.errors import StepError

if TYPE_CHECKING:
    from types import ModuleType

CHOSEN = {
    "rope": True,
    "rms_norm": True,
    "swiglu": True,
    "cross_entropy": False,
    "fused_linear_cross_entropy": False,
}
"""Liger's options; it ignores those that an architecture does not have."""

LEAVE_OUT = "leave `use_liger_kernel` out"

_replaced: list[tuple[ModuleType, dict[str, Any]]] = []
"""Modules with what was in them."""


def check_liger(device: torch.device) -> None:
    """Refuse to use Liger's kernels where there are none, before anything is loaded.

    Raises:
        StepError: no GPU, or no package.
    """
    if device.type != "cuda":
        raise StepError(
            "`use_liger_kernel` needs an NVIDIA GPU, and torch finds none here",
            hint=f"run it where there is one, or {LEAVE_OUT}",
        )
    if find_spec("liger_kernel") is None:
        raise StepError(
            "`use_liger_kernel` needs the package liger-kernel, which is not installed",
            hint=f"`pip install liger-kernel`, or {LEAVE_OUT}",
        )


def use_liger(model: Any) -> dict[str, str]:
    """Give a transformers model Liger's kernels, and return what bits depend on from here.

    Call it before an adapter is added, within `modeling_put_back`.

    Raises:
        StepError: Liger has none for this architecture, or does not fit transformers.
    """
    before = _forwards(model)
    try:
        import liger_kernel.transformers  # noqa: F401  # before we remember: it imports models
        import triton
        from transformers.integrations.liger import apply_liger_kernel

        remember_modeling()
        apply_liger_kernel(model, dict(CHOSEN))
    except (ImportError, AttributeError, TypeError) as error:
        raise StepError(
            f"Liger's kernels cannot be used: {type(error).__name__}: {error}",
            hint=f"upgrade liger-kernel to one for this transformers, or {LEAVE_OUT}",
        ) from error
    if _forwards(model) == before:  # it logs that, and continues
        raise StepError(f"Liger has no kernels for {type(model).__name__}", hint=LEAVE_OUT)
    return {"liger-kernel": version("liger-kernel"), "triton": triton.__version__}


def _forwards(model: Any) -> dict[str, Any]:
    """Return the forwards that modules have of their own, not of their class."""
    named = model.named_modules()
    return {name: vars(m)["forward"] for name, m in named if "forward" in vars(m)}


@contextmanager
def modeling_put_back() -> Iterator[None]:
    """Put back what Liger replaces in transformers' modules, for every model of the process.

    An evaluation after a training would calculate otherwise than one by itself.
    """
    try:
        yield
    finally:
        while _replaced:
            module, names = _replaced.pop()
            vars(module).update(names)


def remember_modeling() -> None:
    """Note what transformers' modules hold; those of a loaded model are already imported."""
    for name, module in list(sys.modules.items()):
        if name.startswith("transformers.models."):
            _replaced.append((module, dict(vars(module))))
