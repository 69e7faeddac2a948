"""The loss of a mixture's routers is transformers' own, and moves the adapter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jobs
import pytest
import tiny_types
import torch
from transformers import AutoModelForCausalLM

from khichdi.plugins import ContradictionError
from khichdi.plugins.builtin.adapter.lora import Lora, LoraParams
from khichdi.plugins.builtin.runtime.qlora.attention.packed_attention import segments
from khichdi.plugins.builtin.runtime.qlora.batches import micro_batch
from khichdi.plugins.builtin.runtime.qlora.model import build
from khichdi.plugins.builtin.runtime.qlora.params import QloraParams

ADAPTER = Lora(LoraParams(r=4, target_modules=("q_proj", "v_proj")))
IDS = [5, 6, 7, 8, 9, 40, 41, 42]


def mixture(folder: Path, kind: str) -> Path:
    with torch.random.fork_rng():
        torch.manual_seed(57)
        config = tiny_types.tiny_config(kind)
        config.router_aux_loss_coef = 0.5
        AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return folder


def gradients(trainee: Any) -> dict[str, torch.Tensor]:
    pairs = zip(trainee.names, trainee.trained, strict=True)
    return {name: parameter.grad.clone() for name, parameter in pairs}


@pytest.mark.parametrize("checkpointing", [False, True], ids=["stored", "recomputed"])
@pytest.mark.parametrize("kind", ["mixtral", "qwen3_moe"])
def test_loss_and_gradients_are_those_of_transformers(
    tmp_path: Path, kind: str, checkpointing: bool
) -> None:
    base = mixture(tmp_path / "base", kind)
    job = jobs.job(base, tmp_path / "w", tmp_path / "o", adapter=ADAPTER, quantizer=jobs.FULL)
    params = QloraParams(
        output_router_logits=True, gradient_checkpointing=checkpointing, activation_budget_gib=0
    )
    trainee = build(params, job)
    for name, parameter in zip(trainee.names, trainee.trained, strict=True):
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    trainee.peft.train()
    batch = micro_batch([IDS], [IDS])
    assert trainee.router_loss is not None
    loss = trainee.summed_loss(batch) / (len(IDS) - 1) + trainee.router_loss()
    loss.backward()
    ours = gradients(trainee)
    for parameter in trainee.trained:
        parameter.grad = None
    theirs = trainee.causal(
        input_ids=torch.tensor([IDS]), labels=torch.tensor([IDS]), output_router_logits=True,
        **segments(batch.cu_seq_lens, batch.lengths),
    )  # fmt: skip
    torch.testing.assert_close(loss, theirs.loss, rtol=1e-5, atol=1e-5)
    assert float(theirs.aux_loss) > 0
    theirs.loss.backward()
    for name, grad in gradients(trainee).items():
        # Processors add float32 in orders of their own: what rounding leaves is that of the sums.
        rounding = 1e-4 * float(grad.abs().max())
        torch.testing.assert_close(ours[name], grad, rtol=1e-4, atol=rounding)


def test_training_with_it_gives_another_adapter_and_the_same_twice(tmp_path: Path) -> None:
    base = mixture(tmp_path / "base", "mixtral")
    found = []
    for number, on in enumerate((False, True, True)):
        folder = tmp_path / str(number)
        job = jobs.job(
            base, folder / "w", folder / "o", adapter=ADAPTER, quantizer=jobs.FULL,
            train=jobs.packs(4, 48), validation=jobs.packs(1, 48),
        )  # fmt: skip
        params = {"num_epochs": 1, "neftune_noise_alpha": None, "output_router_logits": on}
        found.append(jobs.outcome(jobs.train(params, job), folder / "o")["files"])
    assert found[0] != found[1] == found[2]


def test_a_base_without_routers_is_refused(tiny_base: Path, tmp_path: Path) -> None:
    job = jobs.job(tiny_base, tmp_path / "w", tmp_path / "o", quantizer=jobs.FULL)
    with pytest.raises(ContradictionError, match="no routers"):
        build(QloraParams(output_router_logits=True), job)
