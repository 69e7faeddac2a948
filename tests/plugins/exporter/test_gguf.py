"""A GGUF file, read by transformers, answers as the merged model and cuts text as its tokenizer."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import jobs
import pytest
import torch
from gguf import GGUFReader
from miniature import LINES, make_base, make_tokenizer
from tokenizers import pre_tokenizers
from transformers import AutoModelForCausalLM

from khichdi.plugins import ExportJob, StepError
from khichdi.plugins.builtin.exporter.gguf import Gguf, GgufParams
from khichdi.plugins.builtin.exporter.merged import Merged, MergedParams
from khichdi.plugins.builtin.runtime.qlora.bases import support
from khichdi.plugins.toolkit.model_loading import base_config, load_model, load_tokenizer

IDS = torch.tensor([[0, 5, 9, 33, 57, 8, 41, 12, 200, 17]])
SHAPE: dict[str, Any] = {
    "vocab_size": 384, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 512,
    "initializer_range": 0.15, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2,
}  # fmt: skip


def base_of(kind: str, folder: Path, **more: Any) -> Path:
    """Write a random base of an architecture, whose biases and norms are not the usual ones."""
    if kind == "mistral":
        return make_base(folder)
    from transformers import AutoConfig

    with torch.random.fork_rng():
        torch.manual_seed(57)
        config = AutoConfig.for_model(kind, **SHAPE, **more)
        model = AutoModelForCausalLM.from_config(config)
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.data += 0.2 * torch.randn_like(parameter)
    model.save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return folder


def adapter_of(base: Path, folder: Path) -> Path:
    """Write an adapter whose matrices are all random."""
    from peft import LoraConfig, get_peft_model

    model = AutoModelForCausalLM.from_pretrained(base)
    with torch.random.fork_rng():
        torch.manual_seed(58)
        config = LoraConfig(task_type="CAUSAL_LM", r=4, target_modules="all-linear",
                            init_lora_weights=False)  # fmt: skip
        get_peft_model(model, config).save_pretrained(folder)
    return folder


def export(plugin: Any, base: Path, adapter: Path, output: Path) -> Path:
    output.mkdir()
    plugin.export(ExportJob(base, "tiny/base", adapter, jobs.NF4, output))
    return output


def logits(folder: Path) -> torch.Tensor:
    model = load_model(folder, jobs.FULL)
    with torch.no_grad():
        found: torch.Tensor = model(IDS).logits.float()
    return found


CASES = {
    "llama": ("llama", {}),
    "llama, tied": ("llama", {"tie_word_embeddings": True}),
    "mistral": ("mistral", {}),
    "qwen2": ("qwen2", {}),
    "qwen3": ("qwen3", {}),
}


@pytest.mark.parametrize("name", CASES)
def test_it_answers_as_the_merged_model(name: str, tmp_path: Path) -> None:
    kind, more = CASES[name]
    base = base_of(kind, tmp_path / "base", **more)
    adapter = adapter_of(base, tmp_path / "adapter")
    merged = Merged(MergedParams(dtype="float32"))
    wanted = logits(export(merged, base, adapter, tmp_path / "merged"))
    found = logits(export(Gguf(GgufParams(outtype="f32")), base, adapter, tmp_path / "f32"))
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(found, logits(base), atol=0.1)


@pytest.fixture(scope="module")
def pair(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return tiny_base, adapter_of(tiny_base, tmp_path_factory.mktemp("adapter"))


@pytest.mark.parametrize(("outtype", "off"), [("f16", 0.003), ("bf16", 0.02), ("q8_0", 0.03)])
def test_smaller_types_are_off_by_their_rounding(
    pair: tuple[Path, Path], tmp_path: Path, outtype: Any, off: float
) -> None:
    plain = export(Gguf(GgufParams(outtype="f32")), *pair, tmp_path / "f32")
    small = export(Gguf(GgufParams(outtype=outtype)), *pair, tmp_path / outtype)
    wanted, found = logits(plain), logits(small)
    error = float((found - wanted).norm() / wanted.norm())
    assert 0 < error < off
    sizes = [(folder / "model.gguf").stat().st_size for folder in (small, plain)]
    assert sizes[0] < 0.7 * sizes[1]


def test_the_same_weights_give_the_same_bytes(pair: tuple[Path, Path], tmp_path: Path) -> None:
    plugin = Gguf(GgufParams(outtype="q8_0", onto="dequantized"))
    files = [export(plugin, *pair, tmp_path / name) / "model.gguf" for name in ("one", "two")]
    assert files[0].read_bytes() == files[1].read_bytes()
    onto_base = export(Gguf(GgufParams(outtype="q8_0")), *pair, tmp_path / "three")
    assert (onto_base / "model.gguf").read_bytes() != files[0].read_bytes()


def test_its_tokenizer_cuts_text_alike(pair: tuple[Path, Path], tmp_path: Path) -> None:
    base, _ = pair
    own = load_tokenizer(base)
    found = load_tokenizer(export(Gguf(GgufParams()), *pair, tmp_path / "gguf"))
    for text in (*LINES, "na\u00efve caf\u00e9 \u2603  two  spaces\n\nand </s> inside"):
        assert found(text).input_ids == own(text).input_ids
        assert found.decode(own(text).input_ids) == own.decode(own(text).input_ids)
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        assert getattr(found, name) == getattr(own, name)


def test_pieces_that_fall_back_to_bytes_are_carried_too(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, trainers
    from transformers import LlamaTokenizer

    inner = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    inner.pre_tokenizer = pre_tokenizers.Metaspace()
    first = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=380, special_tokens=first, show_progress=False)
    inner.train_from_iterator(LINES * 20, trainer)
    told = json.loads(inner.to_str())["model"]
    merges = [tuple(pair) for pair in told["merges"]]
    base = base_of("llama", tmp_path / "base")
    for path in base.glob("tokenizer*"):
        path.unlink()
    LlamaTokenizer(vocab=told["vocab"], merges=merges).save_pretrained(base)
    output = export(
        Gguf(GgufParams()), base, adapter_of(base, tmp_path / "adapter"), tmp_path / "gguf"
    )
    own, found = load_tokenizer(base), load_tokenizer(output)
    for text in (*LINES, "na\u00efve caf\u00e9 \u2603  two  spaces\n\nand the end"):
        ids = own(text).input_ids
        assert found(text).input_ids == ids
        assert found.decode(ids) == own.decode(ids)
    scores = GGUFReader(output / "model.gguf").fields["tokenizer.ggml.scores"].contents()
    by_word = dict(zip(own.convert_ids_to_tokens(range(len(scores))), scores, strict=True))
    ranks = [by_word["".join(pair)] for pair in merges]
    assert ranks == sorted(ranks, reverse=True)


def test_what_gguf_cannot_say_is_refused(tmp_path: Path) -> None:
    scaled = {"rope_type": "linear", "factor": 2.0, "rope_theta": 10000.0}
    for name, kind, more, match in (
        ("scaled", "llama", {"rope_parameters": scaled}, "positions are scaled by `linear`"),
        ("other", "gpt_neox", {}, "no GGUF of the architecture gpt_neox"),
    ):
        base = base_of(kind, tmp_path / name, **more)
        adapter = adapter_of(base, tmp_path / f"{name}-adapter")
        with pytest.raises(StepError, match=match):
            export(Gguf(GgufParams()), base, adapter, tmp_path / f"{name}-out")


def test_a_tokenizer_of_another_kind_is_refused(pair: tuple[Path, Path], tmp_path: Path) -> None:
    base, adapter = pair
    shutil.copytree(base, tmp_path / "base")
    tokenizer = make_tokenizer()
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.save_pretrained(tmp_path / "base")
    with pytest.raises(StepError, match="neither byte-level BPE"):
        export(Gguf(GgufParams()), tmp_path / "base", adapter, tmp_path / "out")


def test_a_file_says_how_it_is_trained(pair: tuple[Path, Path], tmp_path: Path) -> None:
    folder = export(Gguf(GgufParams(outtype="f32")), *pair, tmp_path / "f32")
    config = base_config(folder)
    assert config is not None
    assert support(config).layout == "packed"
    job = jobs.job(folder, tmp_path / "work", tmp_path / "adapter")
    result = jobs.train({"num_epochs": 1}, job)
    assert result.measured["attention"] == "blocks"
