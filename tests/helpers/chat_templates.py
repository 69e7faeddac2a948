"""Chat templates that installed packages carry, and tokenizers that know their markers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

MARKER = re.compile(
    r"<[|\uff5c][^|\uff5c<>\s]{1,40}[|\uff5c]>|</?[a-z_]{2,30}>|</s>|<s>|\[/?[A-Z_]{3,20}\]|<[A-Z_]{3,30}>"
    r"|<\|[^|<>\s]{1,40}>|\[\|[a-z]{1,20}\|\]|<[^|<>\s]{1,40}\|>"
)
"""What markers of turns look like."""


def installed() -> Iterator[tuple[str, str]]:
    """Yield `package/name` and the text of every chat template of an installed distribution."""
    for package in ("trl", "axolotl"):
        try:
            files = distribution(package).files or ()
        except PackageNotFoundError:
            continue
        for file in sorted(files, key=str):
            if file.suffix == ".jinja":
                text = Path(str(file.locate())).read_text(encoding="utf-8")
                yield f"{package}/{Path(file).stem}", text


def tokenizer_for(template: str, eos: str | None = None) -> Any:
    """Return a byte-level tokenizer with merges, in which the template's markers are tokens."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE(unk_token=None))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=700,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator([template, "Rome is the capital of Italy. What is it?"] * 5, trainer)
    markers = sorted({*MARKER.findall(template), "<bos>", eos or "<eos>"})
    inner.add_special_tokens([AddedToken(one, special=True, normalized=False) for one in markers])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token="<bos>", eos_token=eos or "<eos>"
    )
    tokenizer.chat_template = template
    return tokenizer
