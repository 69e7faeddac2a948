"""Parameters, packs, modules and losses that no training can have are refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jobs
import pyarrow as pa
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file
from trainings import Once

from khichdi.plugins import StepError
from khichdi.plugins.builtin.adapter.lora import Lora, LoraParams
from khichdi.plugins.builtin.quantizer.bitsandbytes import BitsAndBytesParams
from khichdi.plugins.builtin.runtime.qlora.loss import not_finite
from khichdi.plugins.builtin.runtime.qlora.plugin import QloraParams


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"lr_scheduler_kwargs": {"min_lr_rate": 0.1}}, "`cosine` has no argument `min_lr_rate`"),
        ({"lr_scheduler": "cosine_with_min_lr"}, "needs one of `min_lr` and `min_lr_rate`"),
        ({"lr_scheduler": "warmup_stable_decay"}, "needs `num_decay_steps`"),
        ({"eval_steps": 5, "evals_per_epoch": 2}, "`eval_steps` and `evals_per_epoch`"),
        ({"save_steps": 5, "saves_per_epoch": 2}, "`save_steps` and `saves_per_epoch`"),
        ({"eval_steps": 1.5}, "eval_steps"),
        ({"eval_steps": 30, "max_steps": 20}, "`max_steps` ends at 20"),
    ],
    ids=str,
)
def test_parameters_that_do_not_fit_together(params: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        QloraParams(**params)


def test_a_loss_that_is_not_finite_names_step_packs_and_rows(once: Once) -> None:
    table = jobs.packs(6)
    ids = [[f"set/file#{pack}", f"set/file#{pack + 10}"] for pack in range(6)]
    table = table.append_column("ids", pa.array(ids, pa.list_(pa.string())))
    named = r"step \d+ \(train packs? (\d)[ \d,]*: rows set/file#\1, set/file#1\1.*\): the .* is "
    with pytest.raises(StepError, match=named + "(nan|inf)"):
        once(
            {"learning_rate": 1e38, "num_epochs": 30, "warmup_steps": 0},
            train=table,
            validation=jobs.packs(0),
        )


def test_of_several_micro_batches_that_which_is_not_finite_is_named() -> None:
    losses = [torch.tensor(value) for value in (1.0, float("nan"), 2.0, float("inf"))]
    assert not_finite(losses) == [1, 3]
    assert not_finite(losses[::2]) == [0, 1], "each is, and only their sum is not"


def test_no_packs_are_refused(once: Once) -> None:
    with pytest.raises(StepError, match="nothing to train on"):
        once(train=jobs.packs(0))


def test_a_pack_that_contradicts_itself_is_named(once: Once) -> None:
    table = jobs.packs(2)
    lengths = table.column("lengths").to_pylist()
    lengths[1][0] += 1
    broken = table.set_column(2, "lengths", pa.array(lengths, pa.list_(pa.int32())))
    with pytest.raises(StepError, match="train pack 1: "):
        once(train=broken)


def test_an_unknown_module_is_named_with_the_nearest() -> None:
    from transformers import MistralConfig, MistralForCausalLM

    model = MistralForCausalLM(
        MistralConfig(
            vocab_size=8,
            hidden_size=8,
            intermediate_size=8,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=1,
        )
    )
    adapter = Lora(LoraParams(target_modules=("q_proj", "q_prj")))
    with pytest.raises(StepError, match="no linear module named `q_prj`") as caught:
        adapter.config(model)
    assert "did you mean `q_proj`" in (caught.value.hint or "")


def test_an_expression_chooses_modules_by_their_whole_paths(
    tiny_base: Path, tmp_path: Path
) -> None:
    targets = r"model\.layers\.1\..*\.(q_proj|down_proj)"
    job = jobs.job(
        tiny_base,
        tmp_path / "work",
        tmp_path / "out",
        adapter=Lora(LoraParams(target_modules=targets)),
    )
    jobs.train({"num_epochs": 1}, job)
    tensors = load_file(tmp_path / "out" / "adapter_model.safetensors")
    paths = {name.split(".lora_")[0].removeprefix("base_model.model.") for name in tensors}
    assert paths == {"model.layers.1.self_attn.q_proj", "model.layers.1.mlp.down_proj"}
    nothing = Lora(LoraParams(target_modules=r"layers\.1\..*q_proj"))
    job = jobs.job(tiny_base, tmp_path / "work", tmp_path / "out", adapter=nothing)
    with pytest.raises(StepError, match="matches no linear module of the model"):
        jobs.train({}, job)


def test_one_word_is_not_taken_for_an_expression() -> None:
    with pytest.raises(ValueError, match=r"write the name as `\[q_proj\]`"):
        LoraParams(target_modules="q_proj")
    with pytest.raises(ValueError, match="did you mean `all-linear`"):
        LoraParams(target_modules="all_linear")
    with pytest.raises(ValueError, match="not a regular expression"):
        LoraParams(target_modules="(")


@pytest.mark.parametrize("wrong", [{"double_quant": True}, {"quant_type": "fp4"}], ids=str)
def test_settings_of_4_bits_are_refused_for_8(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="is for 4-bit weights"):
        BitsAndBytesParams(bits=8, **wrong)
