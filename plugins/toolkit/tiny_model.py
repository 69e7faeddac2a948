"""Make a tiny base model: random weights, and a tokenizer trained on a few lines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .tokenization import quiet

SEED = 57
BOS, EOS, PAD = "<s>", "</s>", "<pad>"


def tiny_tokenizer(
    lines: Sequence[str],
    *,
    vocab_size: int = 384,
    chat_template: str | None = None,
    add_bos: bool = True,
) -> Any:
    """Return a byte-level BPE tokenizer trained on a few lines."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE(unk_token=None))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[BOS, EOS, PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator(list(lines) * 20, trainer)
    if add_bos:
        inner.post_processor = processors.TemplateProcessing(
            single=f"{BOS} $A", pair=f"{BOS} $A $B", special_tokens=[(BOS, 0)]
        )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token=BOS, eos_token=EOS, pad_token=PAD
    )
    if chat_template is not None:
        tokenizer.chat_template = chat_template
    return tokenizer


def write_tiny_mistral(folder: Path, tokenizer: Any, **changes: Any) -> Path:
    """Write a random Mistral of two thin layers with its tokenizer; `changes` are to its config."""
    import torch
    from transformers import MistralConfig, MistralForCausalLM

    settings = {
        "vocab_size": 384,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 2048,
        "sliding_window": None,
        "initializer_range": 0.15,  # the usual 0.02 hardly moves logits at this width
        "bos_token_id": 0,
        "eos_token_id": 1,
        "pad_token_id": 2,
    }
    with quiet(), torch.random.fork_rng():
        torch.manual_seed(SEED)
        model = MistralForCausalLM(MistralConfig(**{**settings, **changes}))
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder
