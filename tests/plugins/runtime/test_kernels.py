"""Liger's kernels: refused where they cannot be, and undone afterwards."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import jobs
import pytest
import torch

from khichdi.plugins import StepError
from khichdi.plugins.builtin.runtime.qlora.acceleration import liger as kernels


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_liger_is_refused_without_a_gpu_before_anything_is_loaded(tmp_path: Path) -> None:
    nowhere = tmp_path / "no-base-here"
    job = jobs.job(nowhere, tmp_path / "work", tmp_path / "output")
    with pytest.raises(StepError, match=r"use_liger_kernel.* needs an NVIDIA GPU") as caught:
        jobs.train({"use_liger_kernel": True}, job)
    assert "leave `use_liger_kernel` out" in str(caught.value)


@pytest.mark.skipif(find_spec("liger_kernel") is not None, reason="liger-kernel is installed")
def test_liger_is_refused_without_its_package() -> None:
    with pytest.raises(StepError, match="liger-kernel, which is not installed") as caught:
        kernels.check_liger(torch.device("cuda"))
    assert "pip install liger-kernel" in str(caught.value)


def test_what_is_replaced_in_transformers_is_put_back() -> None:
    from transformers.models.llama import modeling_llama

    rope, norm = modeling_llama.apply_rotary_pos_emb, modeling_llama.LlamaRMSNorm
    with kernels.modeling_put_back():
        kernels.remember_modeling()
        modeling_llama.apply_rotary_pos_emb = modeling_llama.LlamaRMSNorm = None
    assert modeling_llama.apply_rotary_pos_emb is rope
    assert modeling_llama.LlamaRMSNorm is norm
