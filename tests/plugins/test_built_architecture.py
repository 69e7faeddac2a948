"""Architectures that are built without weights, held against counts of others."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("transformers")

from tiny_types import causal_types, tiny_config

from khichdi.compiler.estimate.architectures import TABLE, from_config
from khichdi.plugins.toolkit import built_architecture

# fmt: off
PUBLISHED: dict[str, tuple[int, dict[str, Any]]] = {
    "mistralai/Mixtral-8x7B-v0.1": (46_702_792_704, {
        "model_type": "mixtral", "hidden_size": 4096, "intermediate_size": 14336,
        "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
        "vocab_size": 32000, "num_local_experts": 8, "num_experts_per_tok": 2,
    }),
    "Qwen/Qwen3-30B-A3B": (30_532_122_624, {
        "model_type": "qwen3_moe", "hidden_size": 2048, "intermediate_size": 6144,
        "moe_intermediate_size": 768, "num_hidden_layers": 48, "num_attention_heads": 32,
        "num_key_value_heads": 4, "head_dim": 128, "vocab_size": 151936, "num_experts": 128,
        "num_experts_per_tok": 8, "tie_word_embeddings": False,
    }),
    "google/gemma-2-2b": (2_614_341_888, {
        "model_type": "gemma2", "hidden_size": 2304, "intermediate_size": 9216,
        "num_hidden_layers": 26, "num_attention_heads": 8, "num_key_value_heads": 4,
        "head_dim": 256, "vocab_size": 256000,
    }),
    "google/gemma-3-1b-pt": (999_885_952, {
        "model_type": "gemma3_text", "hidden_size": 1152, "intermediate_size": 6912,
        "num_hidden_layers": 26, "num_attention_heads": 4, "num_key_value_heads": 1,
        "head_dim": 256, "vocab_size": 262144,
    }),
    "microsoft/phi-4": (14_659_507_200, {
        "model_type": "phi3", "hidden_size": 5120, "intermediate_size": 17920,
        "num_hidden_layers": 40, "num_attention_heads": 40, "num_key_value_heads": 10,
        "vocab_size": 100352, "tie_word_embeddings": False, "pad_token_id": 100349,
    }),
    "bigscience/bloom-560m": (559_214_592, {
        "model_type": "bloom", "hidden_size": 1024, "n_layer": 24, "n_head": 16,
        "vocab_size": 250880,
    }),
    "HuggingFaceTB/SmolLM3-3B": (3_075_098_624, {
        "model_type": "smollm3", "hidden_size": 2048, "intermediate_size": 11008,
        "num_hidden_layers": 36, "num_attention_heads": 16, "num_key_value_heads": 4,
        "vocab_size": 128256, "tie_word_embeddings": True,
    }),
    "deepseek-ai/DeepSeek-V2-Lite": (15_706_484_224, {
        "model_type": "deepseek_v2", "hidden_size": 2048, "intermediate_size": 10944,
        "moe_intermediate_size": 1408, "num_hidden_layers": 27, "num_attention_heads": 16,
        "num_key_value_heads": 16, "n_routed_experts": 64, "n_shared_experts": 2,
        "num_experts_per_tok": 6, "first_k_dense_replace": 1, "kv_lora_rank": 512,
        "q_lora_rank": None, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128,
        "vocab_size": 102400, "tie_word_embeddings": False,
    }),
}
# fmt: on
"""Parameters of bases by the cards of their repositories, with their configurations."""


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_are_those_that_are_published(name: str) -> None:
    parameters, config = PUBLISHED[name]
    found = built_architecture(config)
    assert found is not None
    assert found.parameters == parameters


@pytest.mark.parametrize("name", [name for name in TABLE if "Qwen-14B" not in name])
def test_what_is_built_is_what_is_read_from_the_configuration(name: str) -> None:
    built, read = built_architecture(TABLE[name]), from_config(TABLE[name])
    assert built is not None
    assert read is not None
    assert built.parameters == read.parameters
    same = {"layers", "hidden", "heads", "kv_heads", "intermediate", "vocab", "tied", "layer_path"}
    assert built.model_dump(include=same) == read.model_dump(include=same)
    assert sorted(built.linears, key=str) == sorted(read.linears, key=str)


def test_every_causal_type_is_counted_as_transformers_counts_it() -> None:
    """All but those whose head or layers are not those of a language model."""
    import torch
    from transformers import AutoModelForCausalLM

    unknown = []
    for model_type in causal_types():
        try:
            config = tiny_config(model_type)
            with torch.device("meta"):
                model = AutoModelForCausalLM.from_config(config)
        except Exception:
            continue  # transformers itself cannot build it here
        found = built_architecture(config.to_dict())
        if found is None:
            unknown.append(model_type)
            continue
        assert found.parameters == sum(one.numel() for one in model.parameters()), model_type
    assert unknown == ["cpmant", "mllama", "zamba"]


def test_a_layer_that_only_some_have_is_counted_where_it_is() -> None:
    config = PUBLISHED["deepseek-ai/DeepSeek-V2-Lite"][1]
    found = built_architecture(config)
    assert found is not None
    dense = [x for x in found.linears if x.path == "mlp.gate_proj"]
    assert [x.layers for x in dense] == [(0,)]
    assert len(found.adapted(("mlp.gate_proj",))) == 1
    assert len(found.adapted(("shared_experts.gate_proj",))) == 26
    # 6 of 64 experts, in 26 layers, of three matrices each
    assert found.experts == 26 * 6 * 3 * 2048 * 1408


def test_what_is_no_causal_model_has_no_architecture() -> None:
    assert built_architecture({"model_type": "vit"}) is None
    assert built_architecture({"model_type": "no such type"}) is None
    assert built_architecture({}) is None
