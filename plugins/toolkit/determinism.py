"""Set torch's determinism switches, for bit-identical results on one kind of hardware."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch

from ...schema.errors import StepError

Level = Literal["strict", "fast"]


@contextmanager
def deterministic(threads: int, level: Level = "strict") -> Iterator[None]:
    """Fix what could change bits between two runs, and put everything back afterwards.

    Enter it before a model is built: some modules copy the switches when they are made. The
    global random states are put back too.

    Args:
        threads: of torch on the CPU. The number is part of the calculation: elementwise kernels
            treat the ends of each thread's share by scalar code that rounds differently, and
            sums over long dimensions are split by it. So it is set here, whatever the
            environment says.
        level: `fast` lets torch and flash-attn take kernels that add in any order, try which of
            cuDNN's is the fastest, and multiply as torch does by itself.

    Raises:
        StepError: a switch does not stay where it was put.
    """
    with ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng())
        # bitsandbytes compiles some of its CPU kernels where there is a compiler, and says
        # nothing where there is none; compiled code rounds differently.
        stack.enter_context(torch.compiler.set_stance("force_eager"))
        for switch in _switches(threads, level):
            stack.callback(switch.write, switch.read())
            switch.write(switch.value)
        if level == "strict":
            _workspaces_anew()
        check(threads, level)
        yield


def check(threads: int, level: Level = "strict") -> None:
    """Read every switch back: libraries set some of them too, as when they load a model.

    Raises:
        StepError: one is not where `deterministic` puts it.
    """
    for switch in _switches(threads, level):
        found = switch.read()
        if found != switch.value:
            raise StepError(
                f"`determinism: {level}` needs {switch.name} to be {switch.value}, and it is "
                f"{found}",
                hint="something in this process sets it; run the recipe by the command line, "
                "in a process of its own",
            )


@dataclass(frozen=True)
class Switch:
    """A setting of this process: its name, how to read and write it, and what it has to be."""

    name: str
    read: Callable[[], Any]
    write: Callable[[Any], Any]
    value: Any


def _switches(threads: int, level: Level) -> list[Switch]:
    cudnn, strict = torch.backends.cudnn, level == "strict"
    common = [
        Switch("torch.get_num_threads()", torch.get_num_threads, torch.set_num_threads, threads),
        # The flash-attn package reads it when it calculates.
        _variable("FLASH_ATTENTION_DETERMINISTIC", "1" if strict else None),
        # 2: what has no deterministic kernel is an error. Never 1, a warning: attention kernels
        # read that as "not deterministic".
        Switch(
            "torch.get_deterministic_debug_mode()",
            torch.get_deterministic_debug_mode,
            torch.set_deterministic_debug_mode,
            2 if strict else 0,
        ),
        _attribute("torch.backends.cudnn", cudnn, "benchmark", not strict),
        _attribute("torch.backends.cudnn", cudnn, "deterministic", strict),
    ]
    return common + _strict_only() if strict else common


def _strict_only() -> list[Switch]:
    cuda, cudnn = torch.backends.cuda, torch.backends.cudnn
    accumulation = hasattr(cuda.matmul, "allow_fp16_accumulation")  # not in older versions
    products = ("allow_tf32", "allow_bf16_reduced_precision_reduction",
                "allow_fp16_reduced_precision_reduction",
                *(["allow_fp16_accumulation"] if accumulation else []))  # fmt: skip
    return [
        # cuBLAS reads it when its first work space is made.
        _variable("CUBLAS_WORKSPACE_CONFIG", ":4096:8"),
        # Filling every fresh tensor with NaN costs a pass over memory and changes no result.
        _attribute("torch.utils.deterministic", torch.utils.deterministic,
                   "fill_uninitialized_memory", False),
        Switch(
            "torch.get_float32_matmul_precision()",
            torch.get_float32_matmul_precision,
            torch.set_float32_matmul_precision,
            "highest",
        ),
        *(_attribute("torch.backends.cuda.matmul", cuda.matmul, name, False) for name in products),
        Switch("cuDNN's attention", cuda.cudnn_sdp_enabled, cuda.enable_cudnn_sdp, False),
        _attribute("torch.backends.cudnn", cudnn, "allow_tf32", False),
    ]  # fmt: skip


def _attribute(where: str, owner: object, name: str, value: object) -> Switch:
    return Switch(
        f"{where}.{name}", partial(getattr, owner, name), partial(setattr, owner, name), value
    )


def _variable(name: str, value: str | None) -> Switch:
    return Switch(name, partial(os.environ.get, name), partial(_set_variable, name), value)


def _set_variable(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


def _workspaces_anew() -> None:
    """Where CUDA runs already, let go of cuBLAS's work spaces: the next are as is said now."""
    clear = getattr(torch._C, "_cuda_clearCublasWorkspaces", None)
    if clear is not None and torch.cuda.is_initialized():
        clear()
