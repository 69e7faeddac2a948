"""Frozen weights are unpacked one at a time, into one buffer where the library can."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jobs
import pytest
import torch
from live_bytes import LiveBytes

from khichdi.plugins.toolkit.frozen_linear import BaseWeight, Scratch
from khichdi.plugins.toolkit.model_loading import load_model

BF16 = torch.bfloat16


@pytest.fixture
def into_buffers() -> Iterator[None]:
    """Give bitsandbytes on the CPU what it has on GPUs: unpacking into a buffer."""
    name = "bitsandbytes::dequantize_4bit"

    def unpack(
        packed: Any, absmax: Any, size: int, kind: str, shape: Any, dtype: Any, out: Any
    ) -> None:
        found = torch.ops.bitsandbytes.dequantize_4bit.default(
            packed, absmax, size, kind, shape, dtype
        )
        out.copy_(found)

    with torch.library._scoped_library("bitsandbytes", "IMPL") as library:
        library.impl(f"{name}.out", unpack, "CPU")
        yield


def packed(base: Path) -> list[torch.nn.Linear]:
    model = load_model(base, jobs.NF4)
    return [m for m in model.modules() if hasattr(getattr(m, "weight", None), "quant_state")]


def test_a_scratch_holds_the_largest_weight_and_no_more(
    tiny_base: Path, into_buffers: None
) -> None:
    linears = packed(tiny_base)
    scratch = Scratch()
    largest = 2 * max(x.in_features * x.out_features for x in linears)
    places = set()
    for _ in range(2):
        for linear in linears:
            dense = BaseWeight(linear, BF16, scratch).dense()
            assert torch.equal(dense, BaseWeight(linear, BF16).dense())
            places.add(dense.untyped_storage().data_ptr())
            assert dense.untyped_storage().nbytes() <= largest
    assert dense.untyped_storage().nbytes() == largest
    assert len(places) <= 1 + len({x.in_features * x.out_features for x in linears})


def test_what_is_kept_is_not_in_the_scratch(tiny_base: Path, into_buffers: None) -> None:
    first, second = packed(tiny_base)[:2]
    scratch = Scratch()
    kept = BaseWeight(first, BF16, scratch)
    kept.keep()
    before = kept.dense().clone()
    BaseWeight(second, BF16, scratch).dense()
    assert torch.equal(kept.dense(), before)


def test_a_loaded_model_keeps_no_file_mapped_and_no_dense_weight(
    tiny_base: Path, tmp_path: Path
) -> None:
    # A copy: what other tests of this process load may be mapped still.
    base = Path(shutil.copytree(tiny_base, tmp_path / "base"))
    with LiveBytes() as alive:
        model = load_model(base, jobs.NF4)
        held = alive.now
    tensors = [*model.parameters(), *model.buffers()]
    stored = sum(tensor.nbytes for tensor in tensors)
    linears = sum(p.numel() for p in model.parameters() if p.dtype == torch.uint8) * 2
    # Scales come on top of what parameters hold; the dense weights, at two bytes each, do not.
    assert stored <= held + 4096 * len(tensors)
    assert held < stored + 0.25 * linears + 4096 * len(tensors)
    maps = Path("/proc/self/maps")
    if maps.is_file():
        assert str(base) not in maps.read_text()
