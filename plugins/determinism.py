"""Switches that make a calculation give the same bits each time on one kind of hardware."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch

ENVIRONMENT = {"CUBLAS_WORKSPACE_CONFIG": ":4096:8", "FLASH_ATTENTION_DETERMINISTIC": "1"}
"""What cuBLAS and the flash-attn package read; both when they are first used."""


@contextmanager
def deterministic(threads: int) -> Iterator[None]:
    """Fix all that could change bits between two runs, and put everything back afterwards.

    Enter it before a model is built: some modules copy the switches when they are made. The
    global random states are put back too.

    Args:
        threads: of torch on the CPU. The number is part of the calculation: elementwise kernels
            treat the ends of each thread's share by scalar code that rounds differently, and
            sums over long dimensions are split by it. So it is set here, whatever the
            environment says.
    """
    with ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng())
        # bitsandbytes compiles some of its CPU kernels where there is a compiler, and says
        # nothing where there is none; compiled code rounds differently.
        stack.enter_context(torch.compiler.set_stance("force_eager"))
        for name, value in ENVIRONMENT.items():
            _hold(stack, partial(os.environ.get, name), partial(_set_env, name), value)
        for get, put, value in _switches(threads):
            _hold(stack, get, put, value)
        yield


def _hold(
    stack: ExitStack, get: Callable[[], Any], put: Callable[[Any], Any], value: object
) -> None:
    stack.callback(put, get())
    put(value)


def _set_env(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


def _attribute(owner: object, name: str, value: object) -> tuple[Any, Any, Any]:
    return lambda: getattr(owner, name), lambda v: setattr(owner, name, v), value


def _switches(threads: int) -> list[tuple[Callable[[], Any], Callable[[Any], Any], Any]]:
    """Return (read, write, value) of each switch of torch."""
    cuda, cudnn = torch.backends.cuda, torch.backends.cudnn
    return [
        (torch.get_num_threads, torch.set_num_threads, threads),
        # Never warn_only: attention kernels read it as "not deterministic".
        (
            torch.are_deterministic_algorithms_enabled,
            torch.use_deterministic_algorithms,
            True,
        ),
        # Filling every fresh tensor with NaN costs a pass over memory and changes no result.
        _attribute(torch.utils.deterministic, "fill_uninitialized_memory", False),
        (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision, "highest"),
        _attribute(cuda.matmul, "allow_bf16_reduced_precision_reduction", False),
        _attribute(cuda.matmul, "allow_fp16_reduced_precision_reduction", False),
        (cuda.cudnn_sdp_enabled, cuda.enable_cudnn_sdp, False),
        _attribute(cudnn, "allow_tf32", False),
        _attribute(cudnn, "benchmark", False),
        _attribute(cudnn, "deterministic", True),
    ]
