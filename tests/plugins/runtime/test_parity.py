"""Loss and gradients against transformers' and peft's own code, and how large tensors become."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jobs
import pytest
import torch
from torch.nn.functional import cross_entropy
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import AutoConfig, AutoModelForCausalLM

from khichdi.plugins.builtin.adapter.lora import Lora, LoraParams
from khichdi.plugins.builtin.runtime.qlora import loss
from khichdi.plugins.builtin.runtime.qlora.batches import micro_batch
from khichdi.plugins.builtin.runtime.qlora.model import Trainee, build
from khichdi.plugins.builtin.runtime.qlora.plugin import QloraParams
from khichdi.plugins.toolkit.determinism import deterministic

PACK = jobs.packs(1, capacity=700).to_pylist()[0]


@pytest.fixture(autouse=True)
def _deterministic() -> Iterator[None]:
    with deterministic(2):
        yield


def samples() -> tuple[list[list[int]], list[list[int]]]:
    """Return the pack's samples and their labels; the last is longer than a block of queries."""
    tokens, labels, ends = PACK["input_ids"], PACK["labels"], []
    for length in PACK["lengths"]:
        ends.append((ends[-1] if ends else 0) + length)
    bounds = [*zip([0, *ends[:7]], ends[:8], strict=True), (ends[7], len(tokens))]
    return [tokens[a:b] for a, b in bounds], [labels[a:b] for a, b in bounds]


def trainee(base: Path, folder: Path, quantizer: Any, r: int = 4) -> Trainee:
    """Return a model whose adapter's B is not zero, so that every gradient is not."""
    job = jobs.job(base, folder, folder, quantizer=quantizer, adapter=Lora(LoraParams(r=r)))
    made = build(QloraParams(weight_cache_gib=0.0), job)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in made.trained:
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.02)
    made.peft.train()
    return made


def ours(model: Trainee) -> tuple[torch.Tensor, list[torch.Tensor]]:
    found = model.summed_loss(micro_batch(*samples()))
    return found.detach(), list(torch.autograd.grad(found, model.trained))


def plain(model: Trainee, kind: torch.dtype) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Return loss and gradients with nothing of ours: one sample at a time, logits in full."""
    for module in model.peft.modules():
        module.__dict__.pop("forward", None)
    model.causal.set_attn_implementation("eager")
    total = torch.zeros(())
    for ids, labels in zip(*samples(), strict=True):
        with torch.autocast("cpu", kind, enabled=kind != torch.float32):
            logits = model.causal(input_ids=torch.tensor([ids]), use_cache=False).logits[0]
        wanted = torch.tensor(labels[1:])
        total = total + cross_entropy(logits[:-1].float(), wanted, reduction="sum")
    return total.detach(), list(torch.autograd.grad(total, model.trained))


def in_float32(model: Trainee) -> None:
    """Let the same packed weights be unpacked to float32, and all else be float32."""
    for module in model.peft.modules():
        state = getattr(getattr(module, "weight", None), "quant_state", None)
        if state is not None:
            state.dtype = module.compute_dtype = torch.float32
            continue
        for parameter in module.parameters(recurse=False):
            if parameter.is_floating_point():
                parameter.data = parameter.data.float()


def flat(tensors: list[torch.Tensor]) -> torch.Tensor:
    return torch.cat([t.float().reshape(-1) for t in tensors])


def test_the_example_has_short_samples_and_one_of_several_blocks() -> None:
    lengths = [len(ids) for ids in samples()[0]]
    assert len(lengths) == 9
    assert max(lengths[:-1]) <= 45
    assert lengths[-1] > 2 * 128


def test_in_float32_loss_and_every_gradient_are_the_plain_ones(
    tiny_base: Path, tmp_path: Path
) -> None:
    model = trainee(tiny_base, tmp_path, jobs.FULL)
    one, gradients = ours(model)
    other, expected = plain(model, torch.float32)
    torch.testing.assert_close(one, other, rtol=1e-6, atol=0)
    for name, mine, right in zip(model.names, gradients, expected, strict=True):
        assert right.norm() > 0, name
        assert (mine - right).norm() < 1e-5 * right.norm(), name


@pytest.mark.parametrize("r", [4, 64])
def test_over_packed_weights_in_bfloat16_ours_are_as_near_to_float32_as_pefts(
    tiny_base: Path, tmp_path: Path, r: int
) -> None:
    """The judge is float32 over the same NF4 codes; both errors are bfloat16's rounding.

    Stated: gradients within 4 % of their norm, and within 1.2 times peft's own error.
    """
    model = trainee(tiny_base, tmp_path, jobs.NF4, r)
    loss_of_ours, mine = ours(model)
    loss_of_peft, theirs = plain(model, torch.bfloat16)
    in_float32(model)
    right_loss, right = plain(model, torch.float32)
    expected = flat(right)
    error, error_of_peft = (
        float((flat(found) - expected).norm() / expected.norm()) for found in (mine, theirs)
    )
    assert error < 4e-2
    assert error < 1.2 * error_of_peft, (error, error_of_peft)
    torch.testing.assert_close(loss_of_ours, right_loss, rtol=2e-3, atol=0)
    torch.testing.assert_close(loss_of_peft, right_loss, rtol=2e-3, atol=0)


class Largest(TorchDispatchMode):
    """Note the most elements of any tensor that an operation gives."""

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        several = result if isinstance(result, (tuple, list)) else [result]
        sizes = [t.numel() for t in several if isinstance(t, torch.Tensor)]
        self.elements = max(self.elements, *sizes, 0)
        return result


def test_logits_of_all_tokens_are_never_made(tiny_base: Path, tmp_path: Path) -> None:
    model = trainee(tiny_base, tmp_path, jobs.NF4)
    ids, _ = samples()
    batch = micro_batch(ids, [[-100, *some[1:]] for some in ids])
    rows, vocabulary = batch.response_tokens, jobs.VOCABULARY
    assert rows > 5 * loss.ROWS_AT_ONCE
    made = model.hidden(batch).index_select(0, batch.sources)
    with Largest() as all_at_once:
        model.loss.head(made)
    assert all_at_once.elements == rows * vocabulary, "the measure sees what it is to see"
    with Largest() as seen:
        leaf = made.detach().requires_grad_()
        found = model.loss.summed(leaf, batch.targets)
        torch.autograd.grad(found, leaf)
    assert seen.elements < rows * vocabulary / 4
    with Largest() as seen:  # a whole step: forward and backward
        torch.autograd.grad(model.summed_loss(batch), model.trained)
    assert seen.elements < rows * vocabulary


def headed(**config: Any) -> Any:
    """Return a model of one layer, 32 wide, of 500 words."""
    small = {"vocab_size": 500, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1,
             "num_attention_heads": 2, "num_key_value_heads": 1, "pad_token_id": 0}  # fmt: skip
    torch.manual_seed(0)
    wanted = {"model_type": "llama", "tie_word_embeddings": False, **small, **config}
    return AutoModelForCausalLM.from_config(AutoConfig.for_model(**wanted)).requires_grad_(False)


def rows(kind: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    """Return hidden states and targets of two chunks and a bit."""
    generator = torch.Generator().manual_seed(0)
    count = 2 * loss.ROWS_AT_ONCE + 37
    hidden = torch.randn(count, 32, generator=generator).to(kind).requires_grad_()
    return hidden, torch.randint(0, 500, (count,), generator=generator)


@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize(
    "config", [{}, {"model_type": "cohere", "logit_scale": 0.3}, {"model_type": "gemma2"}]
)
def test_the_loss_in_chunks_is_the_loss_at_once(config: dict[str, Any], trained: bool) -> None:
    model = headed(**config)
    weight = model.get_output_embeddings().weight.requires_grad_(trained)
    hidden, targets = rows()
    of = [hidden, weight] if trained else [hidden]
    taken = loss.Loss(model)
    expected = cross_entropy(taken.head(hidden), targets, reduction="sum")
    right = torch.autograd.grad(expected, of)
    found = taken.summed(hidden, targets)
    mine = torch.autograd.grad(3 * found, of)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)
    for one, two in zip(mine, right, strict=True):
        torch.testing.assert_close(one, 3 * two, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_logits_made_in_the_same_memory_give_autograds_numbers(kind: torch.dtype) -> None:
    model = headed().to(kind)
    again, anew = loss.Loss(model), loss.Loss(model)
    assert again._in_place is not None
    anew._in_place = None
    hidden, targets = rows(kind)
    for turn in range(2):
        found, right = (taken.summed(hidden * (1 + turn), targets) for taken in (again, anew))
        assert torch.equal(found, right)
        mine, expected = (torch.autograd.grad(one, hidden)[0] for one in (found, right))
        assert torch.equal(mine, expected)
