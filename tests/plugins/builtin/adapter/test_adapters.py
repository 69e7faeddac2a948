"""Every kind of adapter trains over every kind of weights, to the same bits, and can be loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jobs
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from khichdi.plugins import ExportJob
from khichdi.plugins.builtin.adapter.lora import Lora, LoraParams
from khichdi.plugins.builtin.adapter.vera import Vera, VeraParams
from khichdi.plugins.builtin.exporter.merged import Merged, MergedParams
from khichdi.plugins.builtin.quantizer.bitsandbytes import BitsAndBytes, BitsAndBytesParams
from khichdi.plugins.toolkit.frozen_linear import install
from khichdi.plugins.toolkit.model_loading import attach_adapter, load_model

NF4 = BitsAndBytes(BitsAndBytesParams(compute_dtype="float32"))
INT8 = BitsAndBytes(BitsAndBytesParams(bits=8, compute_dtype="float32"))
DORA = Lora(LoraParams(r=4, dropout=0.05, use_dora=True))
RSLORA = Lora(LoraParams(r=4, use_rslora=True))
VERA = Vera(VeraParams(r=16, dropout=0.05))
IDS = torch.tensor([[0, 5, 9, 33, 57, 8, 41, 12, 200, 17]])


def train(base: Path, folder: Path, adapter: Any, quantizer: Any) -> dict[str, Any]:
    job = jobs.job(base, folder / "work", folder / "adapter", adapter=adapter, quantizer=quantizer)
    params = {"learning_rate": 3e-2, "num_epochs": 3, "neftune_noise_alpha": None}
    return jobs.outcome(jobs.train(params, job), folder / "adapter")


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model.eval()(IDS).logits.float()
    return found


@pytest.mark.parametrize("quantizer", [NF4, INT8, jobs.FULL], ids=["nf4", "8 bits", "full"])
@pytest.mark.parametrize("adapter", [DORA, RSLORA, VERA], ids=["dora", "rslora", "vera"])
def test_it_learns_to_the_same_bits_and_merges(
    tiny_base: Path, tmp_path: Path, adapter: Any, quantizer: Any
) -> None:
    one = train(tiny_base, tmp_path / "one", adapter, quantizer)
    assert one["metrics"]["eval_loss"] < one["metrics"]["eval_loss_before"]
    assert one == train(tiny_base, tmp_path / "two", adapter, quantizer)

    folder, output = tmp_path / "one" / "adapter", tmp_path / "merged"
    model = attach_adapter(load_model(tiny_base, quantizer), folder)
    install(model, torch.float32, 0)
    output.mkdir()
    exporter = Merged(MergedParams(onto="dequantized", dtype="float32"))
    exporter.export(ExportJob(tiny_base, "tiny/base", folder, quantizer, output))
    merged = AutoModelForCausalLM.from_pretrained(output, dtype="auto")
    torch.testing.assert_close(logits(merged), logits(model), rtol=1e-3, atol=1e-3)


def test_each_trains_what_its_name_says(tiny_base: Path, tmp_path: Path) -> None:
    endings = {}
    for name, adapter in (("lora", RSLORA), ("dora", DORA), ("vera", VERA)):
        train(tiny_base, tmp_path / name, adapter, jobs.FULL)
        tensors = load_file(tmp_path / name / "adapter" / "adapter_model.safetensors")
        endings[name] = {key.rsplit("proj.", 1)[-1] for key in tensors if "proj" in key}
    assert endings["lora"] == {"lora_A.weight", "lora_B.weight"}
    assert endings["dora"] - endings["lora"] == {"lora_magnitude_vector"}
    assert {"vera_lambda_b", "vera_lambda_d"} <= endings["vera"]


@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
@pytest.mark.parametrize("names", [("lm_head",), ("embed_tokens", "lm_head")], ids=str)
def test_modules_trained_in_full_are_saved_loaded_and_merged(
    tmp_path: Path, names: tuple[str, ...], tied: bool
) -> None:
    from miniature import make_base

    base = make_base(tmp_path / "base", tie_word_embeddings=tied)
    adapter = Lora(LoraParams(r=4, modules_to_save=names))
    quantizer = BitsAndBytes(BitsAndBytesParams())
    found = train(base, tmp_path, adapter, quantizer)
    assert found["metrics"]["eval_loss"] < found["metrics"]["eval_loss_before"]
    tensors = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    for name in names:
        [whole] = [t for key, t in tensors.items() if key.endswith(f"{name}.weight")]
        assert whole.dtype == torch.float32

    model = attach_adapter(load_model(base, NF4), tmp_path / "adapter")
    install(model, torch.float32, 0)
    output = tmp_path / "merged"
    output.mkdir()
    exporter = Merged(MergedParams(onto="dequantized", dtype="float32"))
    exporter.export(ExportJob(base, "tiny/base", tmp_path / "adapter", NF4, output))
    merged = AutoModelForCausalLM.from_pretrained(output, dtype="auto")
    torch.testing.assert_close(logits(merged), logits(model), rtol=1e-3, atol=1e-3)
    assert not merged.config.tie_word_embeddings
