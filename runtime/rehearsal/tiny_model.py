"""Make a tiny base model: the real architecture and tokenizer, with two thin layers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ...plugins.toolkit.tiny_model import SEED, tiny_tokenizer
from ...plugins.toolkit.tokenization import gguf_file, load_tokenizer, quiet

WIDTH, HEADS, LAYERS = 64, 4, 2
CONTEXT = 4096

LINES = (
    "Below is an instruction that describes a task, paired with an input.",
    "### Instruction:\nWhere does it end?\n\n### Input:\nThe Rhine\n\n### Response:\nThe sea",
    "Question: Which is larger, 7 or 12? Answer: 12",
)
CHAT = (
    "{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] }}"
    "{% if m['role'] == 'assistant' %}{{ eos_token }}{% endif %}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)


def write_miniature(base: Path | None, into: Path) -> None:
    """Write a model with random weights and a tokenizer, in the files that a base has.

    `base` has the real configuration and tokenizer, weights or not; without it the architecture
    is Llama's and the tokenizer is made of a few lines.

    Raises:
        StepError: the base's files cannot be read, or the architecture is not transformers' own.
    """
    import torch
    from transformers import AutoModelForCausalLM

    tokenizer = (
        tiny_tokenizer(LINES, vocab_size=512, chat_template=CHAT)
        if base is None
        else load_tokenizer(base)
    )
    config = _llama() if base is None else _config(base)
    with quiet(), torch.random.fork_rng():
        torch.manual_seed(SEED)
        model = AutoModelForCausalLM.from_config(_shrunk(config, tokenizer))
        model.save_pretrained(into)
        tokenizer.save_pretrained(into)


def has_configuration(folder: Path) -> bool:
    """Return whether a folder has what a miniature is made from."""
    return (folder / "config.json").is_file() or gguf_file(folder) is not None


def _config(base: Path) -> Any:
    from transformers import AutoConfig

    from ...schema.errors import StepError

    gguf = gguf_file(base)
    if gguf is not None:
        return AutoConfig.from_pretrained(str(base), gguf_file=gguf.name, local_files_only=True)
    written = json.loads((base / "config.json").read_text(encoding="utf-8"))
    if written.get("auto_map"):
        raise StepError(
            "the base model includes Python code (auto_map), which is never run",
            hint="take a release of it in an architecture that transformers has",
        )
    return AutoConfig.from_pretrained(str(base), local_files_only=True, trust_remote_code=False)


def _llama() -> Any:
    from transformers import LlamaConfig

    return LlamaConfig(num_attention_heads=HEADS, num_key_value_heads=HEADS)


def _shrunk(config: Any, tokenizer: Any) -> Any:
    """Return the configuration with fewer and thinner layers, and as many tokens as there are."""
    heads = config.num_attention_heads
    groups = getattr(config, "num_key_value_heads", None) or heads
    small = {
        "hidden_size": WIDTH,
        "intermediate_size": 2 * WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": max(1, HEADS * groups // heads),
        "head_dim": WIDTH // HEADS,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": min(CONTEXT, config.max_position_embeddings),
    }
    values = config.to_dict()
    for name in ("layer_types", "quantization_config", "architectures", "torch_dtype", "dtype"):
        values.pop(name, None)
    for name, value in small.items():
        own = config.attribute_map.get(name, name)
        if values.get(own) is not None:
            values[own] = value
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        values[name] = getattr(tokenizer, name)
    return type(config)(**values)
