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
from khichdi.plugins.builtin.runtime.qlora.attention import block_attention as blocks
from khichdi.plugins.builtin.runtime.qlora.attention import packed_attention as attention
from khichdi.plugins.builtin.runtime.qlora.attention.block_attention import KEPT, QUERIES, attend
from khichdi.plugins.builtin.runtime.qlora.batches import MicroBatch, micro_batch
from khichdi.plugins.builtin.runtime.qlora.model import Trainee, build
from khichdi.plugins.builtin.runtime.qlora.plugin import QloraParams
from khichdi.plugins.toolkit.determinism import deterministic

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
    packed = model.loss.head(model.hidden(batch(*SAMPLES))).split([len(s) for s in SAMPLES])
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


@pytest.mark.parametrize("lengths", [(40, 7, 1), (QUERIES, 3), (KEPT + 40, 2 * QUERIES)], ids=str)
@pytest.mark.parametrize("window", [None, 17, QUERIES + 5])
def test_every_kernel_gives_the_same_attention(
    lengths: tuple[int, ...], window: int | None
) -> None:
    generator = torch.Generator().manual_seed(0)
    total = sum(lengths)
    shapes = ((4, total, 16), (2, total, 16), (2, total, 16))
    inputs = [torch.randn(shape, generator=generator).requires_grad_() for shape in shapes]
    outer = torch.randn(total, 4, 16, generator=generator)

    def by_sample(kernel: Any) -> torch.Tensor:
        parts = zip(*(t.split(lengths, dim=1) for t in inputs), strict=True)
        done = [kernel(*part, 0.25, window, None) for part in parts]
        return torch.cat(done, dim=1).transpose(0, 1)

    expected, *others = [
        [out, *torch.autograd.grad(out, inputs, outer)]
        for out in (
            by_sample(attention._written_out),
            by_sample(attention._fused),
            attend(*inputs, lengths, 0.25, window),
        )
    ]
    for other in others:
        for one, two in zip(other, expected, strict=True):
            torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-5)


def test_a_sink_is_a_key_without_a_value() -> None:
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(heads, 12, 8, generator=generator) for heads in (4, 2, 2))
    sinks = torch.randn(4, generator=generator)
    found = attention._written_out(q, k, v, 0.5, None, None, sinks=sinks)
    scores = (q @ k.repeat_interleave(2, dim=0).transpose(1, 2) * 0.5).masked_fill(
        ~torch.ones(12, 12, dtype=torch.bool).tril(), float("-inf")
    )
    weights = torch.cat([scores, sinks[:, None, None].expand(-1, 12, 1)], dim=-1).softmax(dim=-1)
    expected = weights[..., :12] @ v.repeat_interleave(2, dim=0)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_blocks_in_bfloat16_are_as_exact_as_torchs_kernel() -> None:
    """Against float64: forward and backward, no more than twice the error of torch's own."""
    generator = torch.Generator().manual_seed(0)
    lengths = (300, 45, KEPT + 100)
    total = sum(lengths)
    exact = [torch.randn(n, total, 64, generator=generator).bfloat16() for n in (6, 2, 2)]
    outer = torch.randn(total, 6, 64, generator=generator).bfloat16()

    def results(attention_of: Any, kind: torch.dtype) -> list[torch.Tensor]:
        inputs = [t.to(kind).requires_grad_() for t in exact]
        out = attention_of(*inputs)
        found = [out, *torch.autograd.grad(out, inputs, outer.to(kind))]
        return [t.detach().double() for t in found]

    def fused(*inputs: torch.Tensor) -> torch.Tensor:
        parts = zip(*(t.split(lengths, dim=1) for t in inputs), strict=True)
        done = [attention._fused(*part, 0.125, None, None) for part in parts]
        return torch.cat(done, dim=1).transpose(0, 1)

    expected = results(fused, torch.float64)
    ours = results(lambda *inputs: attend(*inputs, lengths, 0.125), torch.bfloat16)
    theirs = results(fused, torch.bfloat16)
    for right, one, other in zip(expected, ours, theirs, strict=True):
        assert (one - right).norm() < 2 * (other - right).norm()
        assert (one - right).norm() < 0.005 * right.norm()


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16], ids=str)
def test_blocks_give_the_same_bits_kept_or_calculated_again(
    kind: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = torch.Generator().manual_seed(0)
    lengths = (300, 45)
    inputs = [torch.randn(n, 345, 16, generator=generator).to(kind) for n in (4, 2, 2)]

    def gradients() -> list[torch.Tensor]:
        leaves = [t.clone().requires_grad_() for t in inputs]
        attend(*leaves, lengths, 0.25).float().square().sum().backward()
        return [leaf.grad for leaf in leaves if leaf.grad is not None]

    kept = gradients()
    monkeypatch.setattr(blocks, "KEPT", 0)
    assert len(kept) == 3
    assert all(torch.equal(one, two) for one, two in zip(kept, gradients(), strict=True))


def test_blocks_give_the_same_bits_with_any_number_of_threads() -> None:
    generator = torch.Generator().manual_seed(0)
    lengths = (600, 113, 7, 40)
    total = sum(lengths)
    inputs = [torch.randn(n, total, 64, generator=generator).bfloat16() for n in (9, 3, 3)]
    outer = torch.randn(total, 9, 64, generator=generator).bfloat16()

    def results() -> list[torch.Tensor]:
        leaves = [t.clone().requires_grad_() for t in inputs]
        out = attend(*leaves, lengths, 0.125)
        return [out, *torch.autograd.grad(out, leaves, outer)]

    first, *others = [(torch.set_num_threads(n), results())[1] for n in (1, 2, 3, 1)]
    for other in others:
        assert all(torch.equal(one, two) for one, two in zip(first, other, strict=True))


def test_a_sliding_window_is_kept_as_transformers_keeps_it(tmp_path: Path) -> None:
    from miniature import make_base

    base = make_base(tmp_path / "base", sliding_window=4)
    model = trainee(base, tmp_path, "auto")
    packed = model.loss.head(model.hidden(batch(*SAMPLES))).split([len(s) for s in SAMPLES])
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
