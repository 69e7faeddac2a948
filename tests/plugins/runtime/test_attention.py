"""Samples of a pack do not see one another, forward or backward."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jobs
import pytest
import torch
from khichdi.plugins import StepError
from khichdi.plugins.builtin.adapter.lora import Lora, LoraParams
from khichdi.plugins.builtin.runtime.qlora import attention
from khichdi.plugins.builtin.runtime.qlora.batches import MicroBatch, micro_batch
from khichdi.plugins.builtin.runtime.qlora.model import Trainee, build
from khichdi.plugins.builtin.runtime.qlora.plugin import QloraParams
from khichdi.plugins.determinism import deterministic

SAMPLES = [[5, 9, 13, 40, 8, 8, 21], [7, 3, 99, 12], [30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40]]
IMPLEMENTATIONS = ("auto", "flash", "sdpa", "eager")


@pytest.fixture(autouse=True)
def _deterministic() -> Iterator[None]:
    with deterministic(2):
        yield


def trainee(base: Path, tmp_path: Path, implementation: str, **changes: Any) -> Trainee:
    """Return a float32 model, its adapter's B made non-zero so that every gradient is."""
    job = jobs.job(base, tmp_path, tmp_path, **{"quantizer": jobs.FULL, **changes})
    params = QloraParams(attn_implementation=implementation, weight_cache_gib=0)
    made = build(params, job)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in made.trained:
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.05)
    made.peft.eval()
    return made


def batch(*samples: list[int]) -> MicroBatch:
    return micro_batch(samples, [[-100, *sample[1:]] for sample in samples])


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_logits_in_a_pack_are_those_of_each_sample_alone(
    tiny_base: Path, tmp_path: Path, implementation: str
) -> None:
    model = trainee(tiny_base, tmp_path, implementation)
    packed = model.head(model.hidden(batch(*SAMPLES))).split([len(s) for s in SAMPLES])
    for sample, logits in zip(SAMPLES, packed, strict=True):
        model.causal.set_attn_implementation("eager")  # transformers' own, one sample, a mask
        alone = model.causal(input_ids=torch.tensor([sample]), use_cache=False).logits[0]
        torch.testing.assert_close(logits, alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("quantizer", [jobs.FULL, jobs.NF4], ids=["float32", "nf4-bfloat16"])
def test_another_first_sample_leaves_the_bits_of_the_second(
    tiny_base: Path, tmp_path: Path, implementation: str, quantizer: Any
) -> None:
    model = trainee(tiny_base, tmp_path, implementation, quantizer=quantizer)
    other = [(token * 7 + 3) % jobs.VOCABULARY for token in SAMPLES[0]]
    one = model.hidden(batch(*SAMPLES))
    two = model.hidden(batch(other, *SAMPLES[1:]))
    length = len(other)
    assert not torch.equal(one[:length], two[:length])
    assert torch.equal(one[length:], two[length:])


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_the_gradient_of_a_pack_is_the_sum_over_its_samples(
    tiny_base: Path, tmp_path: Path, implementation: str
) -> None:
    model = trainee(tiny_base, tmp_path, implementation)

    def gradients(*samples: list[int]) -> list[torch.Tensor]:
        loss = model.summed_loss(batch(*samples))
        return list(torch.autograd.grad(loss, model.trained))

    packed = gradients(*SAMPLES)
    apart = [gradients(sample) for sample in SAMPLES]
    for together, *parts in zip(packed, *apart, strict=True):
        assert together.abs().max() > 0
        torch.testing.assert_close(together, sum(parts), rtol=1e-4, atol=1e-5)


def test_the_first_token_of_a_sample_is_nobodys_target() -> None:
    made = micro_batch([[5, 6, 7], [8, 9]], [[5, -100, 7], [8, 9]])
    assert made.sources.tolist() == [1, 3]
    assert made.targets.tolist() == [7, 9]
    assert made.position_ids.tolist() == [[0, 1, 2, 0, 1]]
    assert made.cu_seq_lens.tolist() == [0, 3, 5]


@pytest.mark.parametrize("length", [40, attention.SHORT + 40])
@pytest.mark.parametrize("window", [None, 17])
def test_every_kernel_gives_the_same_attention(length: int, window: int | None) -> None:
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(4, length, 16, generator=generator)
    k, v = torch.randn(2, 2, length, 16, generator=generator)
    kernels = (attention._written_out, attention._fused, attention._block)
    expected, *others = [kernel(q, k, v, 0.25, window, None) for kernel in kernels]
    for other in others:
        torch.testing.assert_close(other, expected, rtol=1e-4, atol=1e-5)


def test_a_sliding_window_is_kept_as_transformers_keeps_it(tmp_path: Path) -> None:
    from miniature import make_base

    base = make_base(tmp_path / "base", sliding_window=4)
    model = trainee(base, tmp_path, "auto")
    packed = model.head(model.hidden(batch(*SAMPLES))).split([len(s) for s in SAMPLES])
    model.causal.set_attn_implementation("eager")
    alone = model.causal(input_ids=torch.tensor([SAMPLES[2]]), use_cache=False).logits[0]
    torch.testing.assert_close(packed[2], alone, rtol=1e-5, atol=1e-5)


def test_a_model_that_hides_the_samples_bounds_is_refused(tiny_base: Path, tmp_path: Path) -> None:
    model = trainee(tiny_base, tmp_path, "auto")
    with pytest.raises(StepError, match="does not pass on where samples begin"):
        model.causal(input_ids=torch.tensor([[1, 2, 3]]), use_cache=False)


def test_gradients_are_those_of_plain_peft(tiny_base: Path, tmp_path: Path) -> None:
    """The replaced forwards against peft's own, in float32."""
    model = trainee(tiny_base, tmp_path, "sdpa", adapter=Lora(LoraParams(r=4)))
    data = batch(*SAMPLES)
    ours = torch.autograd.grad(model.summed_loss(data), model.trained)
    for module in model.peft.modules():
        module.__dict__.pop("forward", None)
    theirs = torch.autograd.grad(model.summed_loss(data), model.trained)
    for one, two in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-5)
