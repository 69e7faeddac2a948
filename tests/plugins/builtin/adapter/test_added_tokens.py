"""Rows of added tokens are trained, saved, loaded by plain peft, and merged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jobs
import pyarrow as pa
import pytest
import torch
from miniature import make_base
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from khichdi.plugins import ContradictionError, ExportJob, StepError
from khichdi.plugins.builtin.adapter.lora import Lora, LoraParams
from khichdi.plugins.builtin.adapter.vera import Vera, VeraParams
from khichdi.plugins.builtin.exporter.gguf import Gguf, GgufParams
from khichdi.plugins.builtin.exporter.merged import Merged, MergedParams
from khichdi.plugins.toolkit import attach_adapter, load_model
from khichdi.plugins.toolkit.token_changes import overlay, write_tokenizer

ADDED = {"add": ["<tool>"], "add_special": ["<|end|>"], "eos_token": "<|end|>"}
END, TOOL = 347, 348
IDS = torch.tensor([[0, 5, 9, TOOL, 57, 8, 41, 12, 200, END]])
PARAMS: dict[str, Any] = {
    "neftune_noise_alpha": None, "cpu_threads": 1, "num_epochs": 1, "weight_decay": 0.0
}  # fmt: skip


def with_tokens(folder: Path, changes: dict[str, Any], **config: Any) -> Path:
    base = make_base(folder / "plain", vocab_size=347, **config)
    (folder / "tokenizer").mkdir()
    write_tokenizer(base, changes, folder / "tokenizer")
    return overlay(base, folder / "tokenizer", folder / "base")


def packs() -> pa.Table:
    """Return packs whose answers use both tokens."""
    table = jobs.packs(6)
    columns: dict[str, Any] = table.to_pydict()
    for ids, labels in zip(columns["input_ids"], columns["labels"], strict=True):
        for place, label in enumerate(labels):
            if label in (5, 9):
                ids[place] = labels[place] = TOOL if label == 5 else END
    return pa.table(columns, schema=table.schema)


def trained(base: Path, folder: Path, adapter: Any) -> Path:
    job = jobs.job(
        base, folder / "work", folder / "adapter", adapter=adapter, quantizer=jobs.FULL,
        train=packs(),
    )  # fmt: skip
    jobs.train(PARAMS, job)
    return folder / "adapter"


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model.eval()(IDS).logits.float()
    return found


@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
def test_only_their_rows_are_trained_and_everybody_gets_them(tmp_path: Path, tied: bool) -> None:
    base = with_tokens(tmp_path, ADDED, tie_word_embeddings=tied)
    adapter = Lora(LoraParams(r=4, trainable_token_indices="added"))
    saved = load_file(trained(base, tmp_path, adapter) / "adapter_model.safetensors")
    rows = {key: tensor for key, tensor in saved.items() if "token" in key}
    assert [tuple(tensor.shape) for tensor in rows.values()] == [(2, 64)] * (1 if tied else 2)
    assert {tensor.dtype for tensor in rows.values()} == {torch.float32}
    for tensor in rows.values():
        assert not torch.equal(tensor[0], tensor[1])  # they began alike

    ours = logits(attach_adapter(load_model(base, jobs.FULL), tmp_path / "adapter"))
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "plain")
    plain.resize_token_embeddings(349)  # with random rows, as anybody would
    theirs = logits(PeftModel.from_pretrained(plain, str(tmp_path / "adapter")))
    torch.testing.assert_close(theirs, ours, rtol=1e-4, atol=1e-4)

    job = ExportJob(base, "tiny/base", tmp_path / "adapter", jobs.FULL, tmp_path / "merged")
    job.output.mkdir()
    Merged(MergedParams(onto="base", dtype="float32")).export(job)
    merged = AutoModelForCausalLM.from_pretrained(job.output)
    torch.testing.assert_close(logits(merged), ours, rtol=1e-4, atol=1e-4)
    assert merged.config.tie_word_embeddings is tied
    assert merged.config.vocab_size == 349
    assert merged.generation_config.eos_token_id == [END, 1]
    tokenizer = AutoTokenizer.from_pretrained(job.output)
    assert tokenizer("<tool>", add_special_tokens=False)["input_ids"] == [TOOL]
    assert tokenizer.eos_token_id == END
    assert {path.name for path in job.output.iterdir()} == {
        "config.json", "generation_config.json", "model.safetensors", "tokenizer.json",
        "tokenizer_config.json",
    }  # fmt: skip


def test_a_gguf_file_has_the_tokens_and_their_kinds(tmp_path: Path) -> None:
    from gguf import GGUFReader, TokenType

    base = with_tokens(tmp_path, ADDED)
    adapter = Lora(LoraParams(r=4, trainable_token_indices="added"))
    job = ExportJob(base, "b", trained(base, tmp_path, adapter), jobs.FULL, tmp_path / "out")
    job.output.mkdir()
    Gguf(GgufParams(outtype="f32")).export(job)
    reader = GGUFReader(job.output / "model.gguf")

    def field(name: str) -> Any:
        return reader.fields[f"tokenizer.ggml.{name}"].contents()

    assert field("tokens")[END:] == ["<|end|>", "<tool>"]
    assert field("token_type")[END:] == [TokenType.CONTROL, TokenType.USER_DEFINED]
    assert field("eos_token_id") == END


CASES: dict[str, tuple[Any, dict[str, Any], str | None]] = {
    "rows": (Lora(LoraParams(trainable_token_indices=(END, TOOL))), {}, None),
    "both tables": (Lora(LoraParams(modules_to_save=("embed_tokens", "lm_head"))), {}, None),
    "one token of two": (Lora(LoraParams(trainable_token_indices=(END,))), {}, "<tool>"),
    "one table of two": (Lora(LoraParams(modules_to_save=("embed_tokens",))), {}, "lm_head"),
    "another adapter": (Vera(VeraParams()), {}, "embed_tokens"),
    "padding alone": (Vera(VeraParams()), {"pad_token": "<p>", "add_special": ["<p>"]}, None),
}


@pytest.mark.parametrize(("adapter", "changes", "refused"), CASES.values(), ids=CASES)
def test_tokens_that_would_stay_untrained_are_refused(
    tmp_path: Path, adapter: Any, changes: dict[str, Any], refused: str | None
) -> None:
    from khichdi.plugins.builtin.runtime.qlora.model import build
    from khichdi.plugins.builtin.runtime.qlora.params import QloraParams

    base = with_tokens(tmp_path, changes or ADDED)
    job = jobs.job(base, tmp_path / "w", tmp_path / "o", adapter=adapter, quantizer=jobs.FULL)
    if refused is None:
        assert build(QloraParams(), job).trained
        return
    with pytest.raises(ContradictionError, match="rows are not trained") as raised:
        build(QloraParams(), job)
    assert refused in raised.value.message
    assert "trainable_token_indices: added" in str(raised.value.hint)


def test_a_row_that_the_base_does_not_have_is_refused(tmp_path: Path) -> None:
    base = with_tokens(tmp_path, ADDED)
    adapter = Lora(LoraParams(trainable_token_indices=(3, 349)))
    with pytest.raises(ContradictionError, match=r"349 is not a token .* 349 rows"):
        adapter.config(load_model(base, jobs.FULL))


def test_a_head_with_a_bias_is_not_trained_by_rows(tmp_path: Path) -> None:
    import tiny_types

    with torch.random.fork_rng():
        model = AutoModelForCausalLM.from_config(tiny_types.tiny_config("phi"))
    assert model.get_output_embeddings().bias is not None
    adapter = Lora(LoraParams(trainable_token_indices=(3,), target_modules=("q_proj",)))
    with pytest.raises(ContradictionError, match="the head has a bias"):
        adapter.config(model)


def test_a_base_with_a_table_of_tokens_for_each_layer_takes_none(tmp_path: Path) -> None:
    import tiny_types
    from miniature import make_tokenizer

    with torch.random.fork_rng():
        model = AutoModelForCausalLM.from_config(tiny_types.tiny_config("gemma3n_text"))
    model.save_pretrained(tmp_path / "plain")
    make_tokenizer().save_pretrained(tmp_path / "plain")
    (tmp_path / "tokenizer").mkdir()
    write_tokenizer(tmp_path / "plain", {"add": ["<t>"]}, tmp_path / "tokenizer")
    base = overlay(tmp_path / "plain", tmp_path / "tokenizer", tmp_path / "base")
    with pytest.raises(StepError, match="another table of tokens"):
        load_model(base, jobs.FULL)
