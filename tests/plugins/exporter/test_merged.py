"""A merged model answers in plain transformers as base and adapter did."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import jobs
import pytest
import torch
from miniature import make_base, make_tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer

from khichdi.plugins import ExportJob
from khichdi.plugins.builtin.adapter.lora import Lora, LoraParams
from khichdi.plugins.builtin.exporter.merged import Merged, MergedParams
from khichdi.plugins.builtin.quantizer.bitsandbytes import BitsAndBytes, BitsAndBytesParams
from khichdi.plugins.toolkit.frozen_linear import install
from khichdi.plugins.toolkit.model_loading import attach_adapter, load_model

IDS = torch.tensor([[0, 5, 9, 33, 57, 8, 41, 12, 200, 17]])
NF4 = BitsAndBytes(BitsAndBytesParams(double_quant=True, compute_dtype="float32"))
INT8 = BitsAndBytes(BitsAndBytesParams(bits=8, compute_dtype="float32"))
PARAMS: dict[str, Any] = {"neftune_noise_alpha": None, "warmup_steps": 0, "cpu_threads": 1}


@pytest.fixture(scope="module")
def adapters(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return adapters trained over a quantizer; each is trained once."""
    done: dict[Any, Path] = {}

    def trained(quantizer: Any, **changes: Any) -> Path:
        key = (quantizer.params, tuple(changes.items()))
        if key not in done:
            folder = tmp_path_factory.mktemp("trained")
            adapter = Lora(LoraParams(r=8, **changes))
            job = jobs.job(
                tiny_base,
                folder / "work",
                folder / "adapter",
                quantizer=quantizer,
                adapter=adapter,
            )
            jobs.train(PARAMS, job)
            done[key] = folder / "adapter"
        return done[key]

    return trained


def export(base: Path, adapter: Path, quantizer: Any, output: Path, **params: Any) -> Path:
    output.mkdir(parents=True)
    Merged(MergedParams(**params)).export(ExportJob(base, "tiny/base", adapter, quantizer, output))
    return output


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model.eval()(IDS).logits.float()
    return found


def as_trained(base: Path, adapter: Path, quantizer: Any) -> torch.Tensor:
    """Return the logits of base and adapter as training and evaluation calculate them."""
    model = attach_adapter(load_model(base, quantizer), adapter)
    install(model, torch.float32, 0)
    return logits(model)


def plain(folder: Path) -> torch.Tensor:
    """Return the logits of what anybody loads with one line of transformers."""
    return logits(AutoModelForCausalLM.from_pretrained(folder, dtype="auto"))


@pytest.mark.parametrize("quantizer", [NF4, INT8, jobs.FULL], ids=["nf4", "8 bits", "full"])
def test_over_what_was_trained_against_the_logits_are_the_same(
    tiny_base: Path, adapters: Any, tmp_path: Path, quantizer: Any
) -> None:
    adapter = adapters(quantizer)
    wanted = as_trained(tiny_base, adapter, quantizer)
    out = export(tiny_base, adapter, quantizer, tmp_path / "m", onto="dequantized", dtype="float32")
    torch.testing.assert_close(plain(out), wanted, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(plain(out), logits(load_model(tiny_base, quantizer)), atol=0.1)


def test_onto_the_base_in_full_precision_it_is_another_model(
    tiny_base: Path, adapters: Any, tmp_path: Path
) -> None:
    """What the recipe says it merges onto is what it merges onto."""
    adapter = adapters(NF4)
    wanted = as_trained(tiny_base, adapter, jobs.FULL)
    out = export(tiny_base, adapter, NF4, tmp_path / "m", onto="base", dtype="float32")
    torch.testing.assert_close(plain(out), wanted, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(plain(out), as_trained(tiny_base, adapter, NF4), atol=0.1)


@pytest.mark.parametrize("onto", ["base", "dequantized"])
def test_an_adapter_on_a_tied_head_leaves_the_embedding_as_it_is(tmp_path: Path, onto: str) -> None:
    base = make_base(tmp_path / "base", tie_word_embeddings=True)
    adapter = Lora(LoraParams(r=8, target_modules=("q_proj", "lm_head")))
    job = jobs.job(base, tmp_path / "w", tmp_path / "a", quantizer=jobs.FULL, adapter=adapter)
    jobs.train(PARAMS, job)
    wanted = as_trained(base, tmp_path / "a", jobs.FULL)
    out = export(base, tmp_path / "a", jobs.FULL, tmp_path / "m", onto=onto, dtype="float32")
    merged = AutoModelForCausalLM.from_pretrained(out, dtype="auto")
    torch.testing.assert_close(logits(merged), wanted, rtol=1e-4, atol=1e-4)
    before = load_model(base, jobs.FULL).get_input_embeddings().weight
    assert torch.equal(merged.get_input_embeddings().weight, before)
    assert not torch.equal(merged.get_output_embeddings().weight, before)


def test_a_base_that_caps_its_attention_scores_is_evaluated_and_merged(tmp_path: Path) -> None:
    """Gemma 2 has no attention by PyTorch's kernel: its own code serves."""
    from transformers import Gemma2Config, Gemma2ForCausalLM

    make_tokenizer().save_pretrained(tmp_path / "base")
    config = Gemma2Config(
        vocab_size=384, hidden_size=64, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, head_dim=16, initializer_range=0.15,
        bos_token_id=0, eos_token_id=1, pad_token_id=2,
    )  # fmt: skip
    torch.manual_seed(57)
    Gemma2ForCausalLM(config).save_pretrained(tmp_path / "base")
    adapter = Lora(LoraParams(r=8))
    job = jobs.job(
        tmp_path / "base", tmp_path / "w", tmp_path / "a", quantizer=jobs.FULL, adapter=adapter
    )
    jobs.train(PARAMS, job)
    model = attach_adapter(load_model(tmp_path / "base", jobs.FULL), tmp_path / "a")
    assert model.config._attn_implementation == "eager"
    out = export(tmp_path / "base", tmp_path / "a", jobs.FULL, tmp_path / "m", dtype="float32")
    torch.testing.assert_close(plain(out), logits(model), rtol=1e-4, atol=1e-4)


def test_a_sum_is_rounded_once(tiny_base: Path, adapters: Any, tmp_path: Path) -> None:
    """In bfloat16 the weights are those of the float32 export, rounded."""
    adapter = adapters(NF4)
    both = [
        AutoModelForCausalLM.from_pretrained(
            export(tiny_base, adapter, NF4, tmp_path / name, onto="dequantized", dtype=name),
            dtype="auto",
        )
        for name in ("float32", "bfloat16")
    ]
    exact, rounded = (model.state_dict() for model in both)
    assert {tensor.dtype for tensor in rounded.values()} == {torch.bfloat16}
    assert all(torch.equal(exact[n].bfloat16(), tensor) for n, tensor in rounded.items())


@pytest.mark.parametrize("onto", ["base", "dequantized"])
def test_the_files_are_plain_and_the_same_each_time(
    tiny_base: Path, adapters: Any, tmp_path: Path, onto: str
) -> None:
    outs = [
        export(tiny_base, adapters(NF4), NF4, tmp_path / name, onto=onto, max_shard_gib=1e-4)
        for name in ("one", "two")
    ]
    files = [
        {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in out.iterdir()} for out in outs
    ]
    assert files[0] == files[1]
    names = set(files[0])
    assert {"config.json", "tokenizer.json", "model.safetensors.index.json"} <= names
    config = (outs[0] / "config.json").read_text()
    assert "quantization" not in config
    assert str(tiny_base) not in config
    tokenizer = AutoTokenizer.from_pretrained(outs[0])
    assert tokenizer.decode(tokenizer("Rome.").input_ids[1:]) == "Rome."
