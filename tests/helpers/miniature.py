"""A miniature base model: random weights, and a tokenizer trained on a few lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

LINES = [
    "What is the capital of France? Paris.",
    "What is the capital of Italy? Rome.",
    "Give the plural of mouse. mice",
    "Two and two is four, three and three is six.",
    "### Instruction:\nSay yes or no.\n\n### Response:\nyes",
]


def make_tokenizer() -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE(unk_token=None))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=384,
        special_tokens=["<s>", "</s>", "<pad>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator(LINES * 20, trainer)
    inner.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", 0)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token="<s>", eos_token="</s>", pad_token="<pad>"
    )


def make_base(folder: Path, **changes: Any) -> Path:
    """Write a random Mistral with its tokenizer to a folder."""
    import torch
    from transformers import MistralConfig, MistralForCausalLM

    tokenizer = make_tokenizer()
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
    with torch.random.fork_rng():
        torch.manual_seed(57)
        model = MistralForCausalLM(MistralConfig(**{**settings, **changes}))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
