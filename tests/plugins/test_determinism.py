"""The switches that bits depend on: set, read back, and put back as they were."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from khichdi.plugins.toolkit.determinism import Level, check, deterministic
from khichdi.schema.errors import StepError

CUDA, CUDNN = torch.backends.cuda, torch.backends.cudnn


def state() -> dict[str, Any]:
    """Read the switches by themselves, not by the code that sets them."""
    return {
        "threads": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "warn only": torch.is_deterministic_algorithms_warn_only_enabled(),
        "fill": torch.utils.deterministic.fill_uninitialized_memory,
        "matmul precision": torch.get_float32_matmul_precision(),
        "matmul tf32": CUDA.matmul.allow_tf32,
        "bf16 reductions": CUDA.matmul.allow_bf16_reduced_precision_reduction,
        "fp16 reductions": CUDA.matmul.allow_fp16_reduced_precision_reduction,
        "fp16 accumulation": CUDA.matmul.allow_fp16_accumulation,
        "cudnn attention": CUDA.cudnn_sdp_enabled(),
        "cudnn tf32": CUDNN.allow_tf32,
        "cudnn benchmark": CUDNN.benchmark,
        "cudnn deterministic": CUDNN.deterministic,
        "cublas": os.environ.get("CUBLAS_WORKSPACE_CONFIG"),
        "flash-attn": os.environ.get("FLASH_ATTENTION_DETERMINISTIC"),
    }


STRICT = {
    "threads": 1,
    "deterministic": True,
    "warn only": False,
    "fill": False,
    "matmul precision": "highest",
    "matmul tf32": False,
    "bf16 reductions": False,
    "fp16 reductions": False,
    "fp16 accumulation": False,
    "cudnn attention": False,
    "cudnn tf32": False,
    "cudnn benchmark": False,
    "cudnn deterministic": True,
    "cublas": ":4096:8",
    "flash-attn": "1",
}
FAST = {
    "threads": 1,
    "deterministic": False,
    "warn only": False,
    "cudnn benchmark": True,
    "cudnn deterministic": False,
    "flash-attn": None,
}
"""What `fast` sets; the rest it leaves as torch has it."""


@contextmanager
def as_someone_left_them() -> Iterator[None]:
    """Put every switch where neither level has it."""
    before = state()
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.set_float32_matmul_precision("high")
    CUDA.matmul.allow_fp16_accumulation = True
    CUDNN.benchmark = True
    os.environ["FLASH_ATTENTION_DETERMINISTIC"] = "0"
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":0:0"
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before["deterministic"], warn_only=before["warn only"])
        torch.set_float32_matmul_precision(before["matmul precision"])
        CUDA.matmul.allow_fp16_accumulation = before["fp16 accumulation"]
        CUDNN.benchmark = before["cudnn benchmark"]
        for name, key in (
            ("FLASH_ATTENTION_DETERMINISTIC", "flash-attn"),
            ("CUBLAS_WORKSPACE_CONFIG", "cublas"),
        ):
            os.environ.pop(name)
            if before[key] is not None:
                os.environ[name] = before[key]


@pytest.mark.parametrize("level", ["strict", "fast"])
def test_a_level_sets_its_switches_and_puts_all_back(level: Level) -> None:
    with as_someone_left_them():
        left = state()
        with deterministic(1, level):
            assert state() == (STRICT if level == "strict" else left | FAST)
        assert state() == left


@pytest.mark.parametrize("level", ["strict", "fast"])
def test_switches_are_put_back_after_a_failure(level: Level) -> None:
    before = state()
    with pytest.raises(ZeroDivisionError), deterministic(1, level):
        raise ZeroDivisionError
    assert state() == before


def test_what_moved_a_switch_since_is_found() -> None:
    with deterministic(1):
        check(1)
        CUDA.matmul.allow_bf16_reduced_precision_reduction = True
        with pytest.raises(StepError, match=r"bf16_reduced.* to be False.* is True"):
            check(1)
    with deterministic(1, "fast"):
        check(1, "fast")
        with pytest.raises(StepError, match="strict"):
            check(1, "strict")


def test_a_warning_in_place_of_an_error_is_not_enough() -> None:
    with deterministic(1):
        torch.use_deterministic_algorithms(True, warn_only=True)
        with pytest.raises(StepError, match="debug_mode"):
            check(1)
