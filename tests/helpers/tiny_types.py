"""A tiny random model of every causal model type that the installed transformers has.

Each is the default configuration of its type, made small by one table of numbers. What that does
not make small, or makes contradictory, is in `OVERRIDES`.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

VOCABULARY = 128

SMALL: dict[str, int] = {
    **dict.fromkeys(("vocab_size", "vocab_size_per_layer_input", "text_vocab_size"), VOCABULARY),
    **dict.fromkeys(("hidden_size", "d_model", "n_embd", "dim", "model_dim", "embed_dim"), 32),
    **dict.fromkeys(("emb_dim", "embedding_size", "word_embed_proj_dim", "lru_width"), 32),
    **dict.fromkeys(("intermediate_size", "ffn_dim", "n_inner", "d_ff", "d_inner"), 48),
    **dict.fromkeys(("decoder_ffn_dim", "encoder_ffn_dim", "feed_forward_size", "dff"), 48),
    **dict.fromkeys(("moe_intermediate_size", "shared_expert_intermediate_size"), 24),
    **dict.fromkeys(("shared_intermediate_size", "expert_ffn_hidden_size", "ffn_hidden_size"), 24),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads", "heads"), 4),
    **dict.fromkeys(("decoder_attention_heads", "encoder_attention_heads"), 4),
    **dict.fromkeys(("num_key_value_heads", "num_kv_heads", "kv_n_heads"), 2),
    **dict.fromkeys(("head_dim", "attention_head_size", "kv_channels", "d_head"), 8),
    **dict.fromkeys(("qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim"), 8),
    **dict.fromkeys(("q_lora_rank", "kv_lora_rank", "qk_head_dim"), 16),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len"), 256),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts"), 4),
    **dict.fromkeys(("moe_num_experts", "num_routed_experts", "n_experts"), 4),
    **dict.fromkeys(("num_experts_per_tok", "moe_k", "top_k_experts", "moe_topk"), 2),
    **dict.fromkeys(("n_group", "topk_group", "n_shared_experts", "num_shared_experts"), 1),
    **dict.fromkeys(("sliding_window", "attention_window_size"), 8),
    **dict.fromkeys(("attention_chunk_size", "local_window_size"), 8),
    **dict.fromkeys(("mamba_n_heads", "mamba_d_head", "mamba_d_state", "mamba_num_heads"), 8),
    **dict.fromkeys(("mamba_head_dim", "ssm_state_size", "mamba_d_ssm"), 8),
    **dict.fromkeys(("linear_key_head_dim", "linear_value_head_dim", "index_head_dim"), 8),
    **dict.fromkeys(("linear_num_key_heads", "linear_num_value_heads", "index_n_heads"), 4),
    **dict.fromkeys(("rotary_dim", "hidden_size_per_layer_input", "laurel_rank"), 8),
}
"""Numbers by their names in a configuration, where it has them."""

LAYERS = (
    "num_hidden_layers", "n_layer", "n_layers", "num_layers", "decoder_layers", "encoder_layers",
)  # fmt: skip
"""Names of the number of layers."""

TOKENS = ("bos_token_id", "eos_token_id", "pad_token_id", "unk_token_id", "sep_token_id")

INDEXER = {
    "indexer_n_heads": 4, "indexer_kv_heads": 1, "indexer_head_dim": 8, "indexer_budget": 64,
    "indexer_compress_ratio": 4,
}  # fmt: skip

DECODER = (
    "bert", "bert-generation", "big_bird", "camembert", "data2vec-text", "electra", "ernie",
    "megatron-bert", "rembert", "roberta", "roberta-prelayernorm", "roc_bert", "roformer",
    "xlm-roberta", "xlm-roberta-xl",
)  # fmt: skip
"""Types that are causal as decoders only."""

GROUPED = {"n_group": 1, "topk_group": 1, "num_local_experts": 4, "num_experts_per_tok": 2}
NOTE = {"per_layer_config": {0: {"num_attention_heads": 4}}, "head_dim": 16}

# fmt: off
OVERRIDES: dict[str, dict[str, Any]] = {
    **{name: {"is_decoder": True} for name in DECODER},
    "bailing_hybrid": GROUPED,
    "bamba": {"attn_layer_indices": [1]},
    "big_bird": {"is_decoder": True, "attention_type": "original_full"},
    "blt": {
        "encoder_hash_byte_group_vocab": 50,
        "encoder_config": {"hidden_size_global": 32}, "decoder_config": {"hidden_size_global": 32},
        "global_config": {"hidden_size": 32},
    },
    "cohere_compass_text": {
        "rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 1e4}},
    },
    "dbrx": {
        "attn_config": {"kv_n_heads": 2, "rope_theta": 10000.0, "clip_qkv": 8.0},
        "ffn_config": {"hidden_size": 32},
    },
    "deepseek_v2": {"n_routed_experts": 4, "num_experts_per_tok": 2},
    "dots1": {"n_routed_experts": 4, "n_shared_experts": 1, "num_experts_per_tok": 2},
    "dots3_note": {
        "text_config": NOTE,
        "vision_config": {"adapter_in_dim": 32, "adapter_out_dim": 32},
        "audio_config": {"adapter_input_size": 32, "adapter_out_dim": 32},
    },
    "dots3_note_text": NOTE,
    "falcon_h1": {"mamba_d_ssm": 64},
    "gemma3n_text": {"num_kv_shared_layers": 0},
    "granitemoehybrid": {"layer_types": ["linear_attention", "full_attention"]},
    "hunyuan_v1_dense": {"head_dim": 8},
    "hunyuan_v1_moe": {"head_dim": 8},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1, "mamba_dt_rank": 4},
    "kimi_linear": GROUPED,
    "lfm2": {"layer_types": ["conv", "full_attention"]},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"], "num_dense_layers": 1},
    "longcat_flash": {"head_dim": 8, "num_layers": 2},
    "mamba2": {"num_heads": 8, "head_dim": 8, "state_size": 8},
    "marian": {"decoder_vocab_size": VOCABULARY},
    "ministral": {"head_dim": 8},
    "nemotron": {"num_key_value_heads": 2, "head_dim": 8},
    "qwen3": {"head_dim": 128},  # transformers takes no other from a GGUF file
    "qwen4_exp": {"text_config": INDEXER},
    "qwen4_exp_text": INDEXER,
    "recurrent_gemma": {"block_types": ["recurrent", "attention"]},
    "roc_bert": {
        "is_decoder": True, "pronunciation_embed_dim": 8, "shape_embed_dim": 8,
        "shape_vocab_size": 50, "pronunciation_vocab_size": 50,
    },
    "rwkv": {"attention_hidden_size": 32},
    "xlm": {"causal": True},
    "xlstm": {"embedding_dim": 32, "num_blocks": 2, "num_heads": 4},
    "xmod": {"default_language": "en_XX", "is_decoder": True},
    "zamba": {
        "layers_block_type": ["linear_attention", "hybrid"] * 2, "num_hidden_layers": 4,
        "attention_hidden_size": 64, "attention_head_dim": 16, "mamba_dt_rank": 4,
    },
    "zamba2": {
        "attention_hidden_size": 64, "attention_head_dim": 16, "mamba_headdim": 8,
        "adapter_rank": 8, "num_key_value_heads": 4, "hybrid_layer_ids": [1],
    },
}
# fmt: on
"""By model type, values of the configuration after it was made small."""


def causal_types() -> dict[str, str]:
    """Return the class of each causal model type of the installed transformers."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    return dict(sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.items()))


def tiny_config(model_type: str) -> Any:
    """Return the configuration of a tiny model of a type."""
    from transformers import CONFIG_MAPPING

    made = CONFIG_MAPPING[model_type]
    values = _small(made().to_dict())
    values.pop("model_type", None)
    over = OVERRIDES.get(model_type, {})
    config = made(**_merged(values, over))
    for name, value in over.items():  # names that the class maps to others
        if not isinstance(value, dict):
            setattr(config, name, value)
    return config


def _merged(values: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    for name, value in over.items():
        inner = values.get(name)
        if isinstance(value, dict) and isinstance(inner, dict) and name != "per_layer_config":
            values[name] = _merged(inner, value)
        else:
            values[name] = value
    return values


def _small(values: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration's values made small, and those of the configurations in it."""
    layers = next((values[n] for n in LAYERS if isinstance(values.get(n), int)), None)
    chosen = _chosen(values, layers)
    found = {name: _value(name, value, chosen, layers) for name, value in values.items()}
    if "qk_rope_head_dim" in found and "num_key_value_heads" in found:
        # Latent attention has a key for each query.
        found["num_key_value_heads"] = found["num_attention_heads"]
    for name in ("transformers_version", "architectures"):
        found.pop(name, None)
    return found


def _value(name: str, value: Any, chosen: list[int], layers: int | None) -> Any:
    """Return a value made small, over the chosen layers."""
    if name == "per_layer_config" and isinstance(value, dict):
        own = {int(layer): inner for layer, inner in value.items()}
        return {i: _small(own[layer]) for i, layer in enumerate(chosen) if layer in own}
    if name.endswith("_config") and isinstance(value, dict):
        return _small(copy.deepcopy(value))
    if isinstance(value, list) and layers and len(value) == layers:
        return [_least(name, value[i]) for i in chosen]
    return _number(name, value, len(chosen) or 2)


def _number(name: str, value: Any, layers: int) -> Any:
    if name in LAYERS and isinstance(value, int):
        return layers
    if name in TOKENS and isinstance(value, int):
        return value if value < VOCABULARY else TOKENS.index(name)
    if name in ("initializer_range", "init_std"):
        return 0.15  # the usual 0.02 hardly moves the logits of so small a model
    if isinstance(value, float) and ("dropout" in name or name.endswith("pdrop")):
        return 0.0
    return _least(name, value)


def _least(name: str, value: Any) -> Any:
    known = isinstance(value, int) and not isinstance(value, bool) and name in SMALL
    return min(value, SMALL[name]) if known else value


def _chosen(values: dict[str, Any], layers: int | None) -> list[int]:
    """Return layers to keep: one of each kind, and two at least."""
    if not layers:
        return []
    kinds = values.get("layer_types") or values.get("layers_block_type") or [None] * layers
    first = [kinds.index(kind) for kind in dict.fromkeys(kinds)]
    more = [i for i in range(layers) if i not in first]
    return sorted((first + more)[: max(2, len(first))])
