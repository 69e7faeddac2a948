"""Convert a tokenizer's vocabulary to GGUF.

Two kinds: byte-level BPE (GPT-2, Llama 3, Qwen), and pieces that fall back to bytes (Llama 2,
Mistral), as SentencePiece makes them.
"""

from __future__ import annotations

import json
import re
from typing import Any

import gguf

from khichdi.schema.errors import StepError

LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SPLITS = {LLAMA3: "llama-bpe", LLAMA3.replace("{1,3}", ""): "qwen2"}
"""By how text is split into words: llama.cpp's name for it."""

BYTE = re.compile("<0x[0-9A-F]{2}>")


def add_vocabulary(writer: Any, tokenizer: Any, size: int, chat_template: str | None) -> None:
    """Add tokens, merges, special tokens and a chat template; the tokenizer's own if None.

    Raises:
        StepError: the tokenizer is of another kind, or splits text in a way that has no name.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    told: dict[str, Any] = json.loads(backend.to_str()) if backend is not None else {}
    model = told.get("model") or {}
    pieces = bool(model.get("byte_fallback"))
    split = "default" if pieces else _split(told.get("pre_tokenizer"))
    if model.get("type") != "BPE" or split is None:
        raise StepError(
            "this base's tokenizer is neither byte-level BPE as GPT-2, Llama 3 and Qwen have it, "
            "nor pieces with bytes as Llama 2 has it, and no other is written to GGUF here",
            hint="export with `merged`, and convert that with llama.cpp",
        )
    added = {token["id"]: token for token in told["added_tokens"]}
    words = {index: word for word, index in model["vocab"].items()}
    words |= {index: token["content"] for index, token in added.items()}
    pairs = [x.split(" ") if isinstance(x, str) else x for x in model["merges"]]
    ids = range(max(size, max(words) + 1))
    tokens = [words.get(index, f"[PAD{index}]") for index in ids]
    if pieces:
        # The earlier two pieces are joined, the higher the piece that they make.
        ranks: dict[str, float] = {}
        for rank, pair in enumerate(pairs):
            ranks.setdefault("".join(pair), -float(rank))
        writer.add_token_scores([ranks.get(token, -float(len(pairs))) for token in tokens])
        writer.add_add_space_prefix(True)
    writer.add_tokenizer_model("llama" if pieces else "gpt2")
    writer.add_tokenizer_pre(split)
    writer.add_token_list(tokens)
    writer.add_token_types([_kind(words.get(index), added.get(index), pieces) for index in ids])
    writer.add_token_merges([" ".join(pair) for pair in pairs])
    _add_special(writer, tokenizer)
    template = chat_template or tokenizer.chat_template
    if isinstance(template, str):
        writer.add_chat_template(template)


def _kind(word: str | None, added: dict[str, Any] | None, pieces: bool) -> Any:
    """Return the type of a token: unused, of control, for a byte or a piece of text."""
    kinds = gguf.TokenType
    if word is None:
        return kinds.UNUSED
    if pieces and word == "<unk>":
        return kinds.UNKNOWN
    if added is not None:
        return kinds.CONTROL if added["special"] else kinds.USER_DEFINED
    return kinds.BYTE if pieces and BYTE.fullmatch(word) else kinds.NORMAL


def _add_special(writer: Any, tokenizer: Any) -> None:
    """Add which tokens begin and end, and whether a text begins with one."""
    for name, add in (
        ("bos", writer.add_bos_token_id),
        ("eos", writer.add_eos_token_id),
        ("unk", writer.add_unk_token_id),
        ("pad", writer.add_pad_token_id),
    ):
        index = getattr(tokenizer, f"{name}_token_id")
        if index is not None:
            add(index)
    begins = tokenizer("a").input_ids[0] == tokenizer.bos_token_id
    writer.add_add_bos_token(bool(tokenizer.bos_token_id is not None and begins))


def _split(told: dict[str, Any] | None) -> str | None:
    """Return llama.cpp's name for how text is split, or None where it has none that is known."""
    parts = (told or {}).get("pretokenizers") or ([told] if told else [])
    kinds = [part["type"] for part in parts]
    if not parts or parts[-1]["type"] != "ByteLevel" or parts[-1]["add_prefix_space"]:
        return None
    if kinds == ["ByteLevel"] and parts[0]["use_regex"]:
        return "gpt-2"
    if kinds == ["Digits", "ByteLevel"] and parts[0]["individual_digits"]:
        return "smollm"
    if kinds == ["Split", "ByteLevel"]:
        return SPLITS.get(parts[0]["pattern"].get("Regex", ""))
    return None
