"""Write a merged model's tensors and metadata to a GGUF file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gguf
import torch

from khichdi.plugins.toolkit.determinism import deterministic
from khichdi.plugins.toolkit.model_loading import load_tokenizer, quiet
from khichdi.schema.errors import StepError

from .gguf_k_types import K_TYPES, k_quantizer
from .gguf_vocabulary import add_vocabulary
from .merging import combined

if TYPE_CHECKING:
    from khichdi.plugins.kinds import ExportJob

    from .params import GgufParams

ARCHITECTURES = {
    "llama": gguf.MODEL_ARCH.LLAMA,
    "mistral": gguf.MODEL_ARCH.LLAMA,
    "qwen2": gguf.MODEL_ARCH.QWEN2,
    "qwen3": gguf.MODEL_ARCH.QWEN3,
}
"""By transformers' name: architectures that GGUF has with the same arithmetic."""
TYPES = {
    "f32": (gguf.GGMLQuantizationType.F32, gguf.LlamaFileType.ALL_F32),
    "f16": (gguf.GGMLQuantizationType.F16, gguf.LlamaFileType.MOSTLY_F16),
    "bf16": (gguf.GGMLQuantizationType.BF16, gguf.LlamaFileType.MOSTLY_BF16),
    "q8_0": (gguf.GGMLQuantizationType.Q8_0, gguf.LlamaFileType.MOSTLY_Q8_0),
}
"""Types that are written here; llama.cpp makes those of `K_TYPES` from the first of them."""
BLOCK = 32
"""Weights of a row that share a scale in Q8_0."""


def write(params: GgufParams, job: ExportJob) -> None:
    """Write base and adapter as `model.gguf`; see `Exporter.export`."""
    target = job.output / "model.gguf"
    if params.outtype not in K_TYPES:
        _write(target, params, params.outtype, job)
        return
    quantize = k_quantizer(params.outtype)  # before hours of merging
    dense = job.output / "dense.gguf"
    _write(dense, params, "f16", job)
    quantize(dense, target)
    dense.unlink()


def _write(target: Path, params: GgufParams, outtype: str, job: ExportJob) -> None:
    with quiet(), deterministic(1):
        model = combined(params.onto, "float32", job)
    config = model.config
    architecture = ARCHITECTURES.get(config.model_type)
    if architecture is None:
        raise StepError(
            f"there is no GGUF of the architecture {config.model_type} here",
            hint=f"there is of {', '.join(ARCHITECTURES)}; `merged` exports any",
        )
    writer = gguf.GGUFWriter(target, gguf.MODEL_ARCH_NAMES[architecture])
    writer.add_name(job.base_name.rpartition("/")[2])
    _add_settings(writer, config)
    kind, file_type = TYPES[outtype]
    writer.add_file_type(file_type)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    add_vocabulary(writer, load_tokenizer(job.base), config.vocab_size, params.chat_template)
    for name, tensor in _tensors(model, architecture):
        stored = _stored(tensor, kind)
        data = gguf.quants.quantize(tensor.numpy(), stored)
        writer.add_tensor(name, data, raw_dtype=stored)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file(progress=False)
    writer.close()


def _stored(tensor: torch.Tensor, kind: Any) -> Any:
    """Return a tensor's type: vectors in full precision, rows that do not fill blocks in half."""
    if tensor.ndim == 1:
        return gguf.GGMLQuantizationType.F32
    if kind == gguf.GGMLQuantizationType.Q8_0 and tensor.shape[-1] % BLOCK:
        return gguf.GGMLQuantizationType.F16
    return kind


def _tensors(model: Any, architecture: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield each tensor by GGUF's name, float32."""
    config = model.config
    names = gguf.get_tensor_name_map(architecture, config.num_hidden_layers)
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        known = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if known is None:
            raise StepError(f"GGUF has no name for {name}", hint="`merged` exports any model")
        value = tensor.detach().float().cpu()
        if architecture == gguf.MODEL_ARCH.LLAMA:
            for part, heads in (
                (".q_proj.", config.num_attention_heads),
                (".k_proj.", config.num_key_value_heads),
            ):
                if part in name:
                    value = _interleaved(value, heads)
        yield known, value.contiguous()


def _interleaved(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """Turn rotary halves of each head into pairs: llama.cpp turns neighbours, others halves."""
    rest = weight.shape[1:]
    return weight.view(heads, 2, -1, *rest).transpose(1, 2).reshape(weight.shape)


def _add_settings(writer: Any, config: Any) -> None:
    """Add the architecture's parameters; refuse those that the format cannot express.

    Raises:
        StepError: positions are scaled.
    """
    rope = getattr(config, "rope_parameters", None) or {}
    if rope.get("rope_type", "default") != "default":
        raise StepError(
            f"positions are scaled by `{rope['rope_type']}`, which is not written to GGUF here",
            hint="`merged` exports any model",
        )
    positions = config.max_position_embeddings
    window = getattr(config, "sliding_window", None)
    heads = config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // heads
    # GGUF's Llama has no window: within it both are the same.
    writer.add_context_length(min(positions, window or positions))
    writer.add_block_count(config.num_hidden_layers)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(size)
    writer.add_value_length(size)
    writer.add_rope_dimension_count(size)
    writer.add_rope_freq_base(float(rope.get("rope_theta", 10000.0)))
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
