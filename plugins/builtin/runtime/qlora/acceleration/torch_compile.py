"""Compile norms, the SwiGLU product and rotary embeddings with torch.compile.

Only these: whole layers gain no more, and compile for long. Settings are fixed: nothing is tuned by
trial, and lengths are symbols, so that packs of many lengths share the code. Compiled code rounds
at other places than torch's own kernels; it does so alike in every process with the same compiler.
"""

from __future__ import annotations

import contextlib
import copy
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from types import MethodType
from typing import Any

import torch

from khichdi.schema.errors import StepError

from .liger import remember_modeling

Function = Callable[..., Any]


def check_compiler(device: torch.device) -> dict[str, str]:
    """Return the compiler and its version, which bits depend on.

    Raises:
        StepError: there is none.
    """
    leave_out = "leave `torch_compile` out"
    if device.type == "cuda":
        try:
            import triton
        except ImportError as error:
            raise StepError(
                "`torch_compile` needs Triton on a GPU, which is not installed",
                hint=f"`pip install triton`, or {leave_out}",
            ) from error
        return {"triton": triton.__version__}
    name = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
    found = shutil.which(name)
    if found is None:
        raise StepError(
            f"`torch_compile` needs a C++ compiler on a CPU, and there is no `{name}`",
            hint=f"install g++, name another in CXX, or {leave_out}",
        )
    said = subprocess.run([found, "--version"], capture_output=True, text=True, check=False)
    return {"compiler": (said.stdout.splitlines() or [name])[0].strip()}


def compile_parts(model: Any, threads: int) -> int:
    """Compile the parts of a transformers model that are as known here; return how many.

    To be called within `kernels.modeling_put_back`: rotary embeddings are a function of a module
    of transformers.

    Args:
        model: the causal language model.
        threads: of torch on the CPU; written into the code.
    """
    _load_setuptools()
    norm, product, rotate = (_compiled(part, threads) for part in (_norm, _product, _rotate))
    count = 0
    known: dict[type, bool] = {}
    for module in model.modules():
        kind = type(module)
        if kind not in known:
            known[kind] = _is_norm(module) or _is_swiglu(module)
        if known[kind]:
            forward = _swiglu_forward(product) if hasattr(module, "act_fn") else _norm_forward(norm)
            module.forward = MethodType(forward, module)
            count += 1
    modeling = sys.modules[type(model).__module__]
    if _is_rotation(getattr(modeling, "apply_rotary_pos_emb", None)):
        remember_modeling()
        modeling.apply_rotary_pos_emb = lambda q, k, cos, sin: rotate(q, k, cos, sin)  # type: ignore[attr-defined]
        count += 1
    return count


def _load_setuptools() -> None:
    """Load setuptools, which torch's builder of C++ takes.

    Where Python's own distutils get in before its copy of them, setuptools fails unless it is told
    to take those.
    """
    with contextlib.suppress(ImportError):  # the builder says what it needs
        try:
            import setuptools
        except AssertionError:
            name = "SETUPTOOLS_USE_DISTUTILS"
            before = os.environ.get(name)
            os.environ[name] = "stdlib"
            try:
                import setuptools  # noqa: F401
            finally:
                os.environ.pop(name)
                os.environ |= {} if before is None else {name: before}


def _compiled(function: Function, threads: int) -> Function:
    from torch._dynamo.exc import TorchDynamoException

    options: dict[str, Any] = {
        "cpp.threads": threads,
        "max_autotune": False,
        "coordinate_descent_tuning": False,
        "triton.autotune_pointwise": False,
    }
    known = torch._inductor.list_options()
    if "deterministic" in known:  # nothing is chosen by trial
        options["deterministic"] = True
    compiled = torch.compile(function, dynamic=True, fullgraph=True, options=options)

    def call(*given: Any) -> Any:
        # Everything else stays eager; see `determinism`.
        with torch.compiler.set_stance("default"):
            try:
                return compiled(*given)
            except TorchDynamoException as error:
                raise StepError(
                    f"`torch_compile`: {str(error).strip().splitlines()[0]}",
                    hint="see whether the compiler works, or leave `torch_compile` out",
                ) from error

    return call


# ---- the parts, as they are compiled --------------------------------------------------------


def _norm(x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
    wide = x.float()
    wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + eps)
    return weight * wide.to(x.dtype)


def _product(gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.silu(gate) * up


def _rotate(
    q: torch.Tensor, k: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    cos, sin = cos.unsqueeze(1), sin.unsqueeze(1)
    return q * cos + _turned(q) * sin, k * cos + _turned(k) * sin


def _turned(x: torch.Tensor) -> torch.Tensor:
    first, second = x.chunk(2, dim=-1)
    return torch.cat((-second, first), dim=-1)


def _norm_forward(norm: Function) -> Function:
    def forward(self: Any, x: torch.Tensor) -> torch.Tensor:
        # Two dimensions: norms of heads and of tokens share the code.
        out: torch.Tensor = norm(x.reshape(-1, x.shape[-1]), self.weight, self.variance_epsilon)
        return out.view(x.shape)

    return forward


def _swiglu_forward(product: Function) -> Function:
    def forward(self: Any, x: torch.Tensor) -> Any:
        return self.down_proj(product(self.gate_proj(x), self.up_proj(x)))

    return forward


# ---- whether a model's own are these --------------------------------------------------------


def _is_norm(module: Any) -> bool:
    if not type(module).__name__.endswith("RMSNorm") or not hasattr(module, "variance_epsilon"):
        return False
    like = module.weight
    some = _drawn((1, 8, len(like)), like.dtype, like.device)
    return _alike(module, _norm_forward(_norm), some)


def _is_swiglu(module: Any) -> bool:
    names = ("gate_proj", "up_proj", "down_proj")
    if not all(hasattr(module, name) for name in (*names, "act_fn")):
        return False
    # With small projections in place of its own, which may be packed.
    probe = copy.copy(module)
    probe._modules = module._modules | {name: torch.nn.Linear(16, 16) for name in names}
    return _alike(probe, _swiglu_forward(_product), _drawn((1, 8, 16), torch.float32))


def _alike(module: Any, other: Function, some: torch.Tensor) -> bool:
    """Return whether another forward of a module equals its own, but for rounding."""
    with torch.no_grad():
        try:
            own, ours = module(some).float(), other(module, some).float()
        except (TypeError, ValueError, RuntimeError, AttributeError):
            return False
        return bool(torch.allclose(own, ours, rtol=0.02, atol=0.02))


def _is_rotation(own: Function | None) -> bool:
    if own is None:
        return False
    q, k = (_drawn((1, heads, 8, 16), torch.float32) for heads in (4, 2))
    cos, sin = (_drawn((1, 8, 16), torch.float32) for _ in range(2))
    try:
        theirs = own(q, k, cos, sin)
    except (TypeError, RuntimeError):
        return False
    ours = _rotate(q, k, cos, sin)
    return all(torch.allclose(a, b) for a, b in zip(theirs, ours, strict=True))


def _drawn(
    shape: tuple[int, ...], dtype: torch.dtype, device: torch.device | None = None
) -> torch.Tensor:
    generator = torch.Generator().manual_seed(57)
    return torch.randn(shape, generator=generator).to(device, dtype)
