"""Experts of a mixture are quantized, trained over, and merged as they are multiplied by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jobs
import pytest
import tiny_types
import torch
from miniature import make_tokenizer
from transformers import AutoModelForCausalLM

from khichdi.plugins import ExportJob
from khichdi.plugins.builtin.adapter.lora import Lora, LoraParams
from khichdi.plugins.builtin.exporter.merged import Merged, MergedParams
from khichdi.plugins.builtin.quantizer.bitsandbytes import BitsAndBytes, BitsAndBytesParams
from khichdi.plugins.toolkit import attach_adapter, install, load_model

IDS = torch.tensor([[5, 6, 7, 8, 9, 40, 41]])


def quantizer(bits: int, experts: bool = True) -> BitsAndBytes:
    params: Any = {"bits": bits, "experts": experts, "compute_dtype": "float32"}
    return BitsAndBytes(BitsAndBytesParams(**params, double_quant=bits == 4))


@pytest.fixture(scope="module")
def mixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mixture")
    with torch.random.fork_rng():
        torch.manual_seed(57)
        config = tiny_types.tiny_config("qwen3_moe")
        AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return folder


def logits(model: Any) -> torch.Tensor:
    install(model, torch.float32, 0)
    with torch.no_grad():
        found: torch.Tensor = model.eval()(IDS).logits
    return found


@pytest.mark.parametrize("bits", [4, 8])
def test_experts_are_stored_in_few_bits_and_stay_near(mixture: Path, bits: int) -> None:
    dense, packed = (load_model(mixture, quantizer(bits, one)) for one in (False, True))
    assert not any(p.ndim == 3 and p.is_floating_point() for p in packed.parameters())
    path = "model.layers.0.mlp.experts.down_proj"
    before, after = (model.get_parameter(path) for model in (dense,)), packed
    [whole] = before
    unpacked = after.get_submodule(path.rpartition(".")[0]).down_proj
    assert unpacked.shape == whole.shape
    error = float((unpacked - whole).norm() / whole.norm())
    assert 0 < error < (0.12 if bits == 4 else 0.01)
    stored = after.get_submodule(path.rpartition(".")[0]).parametrizations.down_proj.original
    assert stored.numel() * stored.element_size() == whole.numel() * bits // 8


@pytest.mark.parametrize(
    ("bits", "adapter"),
    [
        (4, {"target_modules": ("q_proj",), "target_parameters": ("mlp.experts.down_proj",)}),
        (8, {"target_modules": ("q_proj", "v_proj")}),
    ],
    ids=["4 bits, adapted", "8 bits, frozen"],
)
def test_what_is_trained_over_is_what_is_merged(
    mixture: Path, tmp_path: Path, bits: int, adapter: dict[str, Any]
) -> None:
    stored = quantizer(bits)
    job = jobs.job(
        mixture, tmp_path / "work", tmp_path / "adapter", quantizer=stored,
        adapter=Lora(LoraParams(r=4, **adapter)),
    )  # fmt: skip
    metrics = jobs.train({"neftune_noise_alpha": None, "num_epochs": 1}, job).metrics
    assert metrics["eval_loss"] != metrics["eval_loss_before"]
    output = tmp_path / "merged"
    output.mkdir()
    export = ExportJob(mixture, "tiny/mixture", tmp_path / "adapter", stored, output)
    Merged(MergedParams(onto="dequantized", dtype="float32")).export(export)
    merged = AutoModelForCausalLM.from_pretrained(output)
    trained = attach_adapter(load_model(mixture, stored), tmp_path / "adapter")
    torch.testing.assert_close(logits(merged), logits(trained), rtol=1e-4, atol=1e-4)


def test_loading_leaves_transformers_as_it_was(mixture: Path) -> None:
    from transformers import core_model_loading

    before = core_model_loading.set_param_for_module
    load_model(mixture, quantizer(4))
    assert core_model_loading.set_param_for_module is before
