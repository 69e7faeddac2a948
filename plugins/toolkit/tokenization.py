"""Load tokenizers, tokenize rows, and compute the loss mask.

Imports transformers where it is used, and never torch by itself.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...schema.errors import StepError
from ..kinds import Segment
from .torch_environment import before_torch

IGNORE = -100
"""The label of a token that the loss does not count."""

_CHATTY = ("transformers", "bitsandbytes", "peft", "accelerate", "huggingface_hub", "gguf")


@contextmanager
def quiet() -> Iterator[None]:
    """Keep warnings and progress bars of the libraries off the user's screen."""
    from transformers.utils import logging as chatter

    loggers = [logging.getLogger(name) for name in _CHATTY]
    levels = [logger.level for logger in loggers]
    bars = chatter.is_progress_bar_enabled()
    chatter.disable_progress_bar()
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if bars:
            chatter.enable_progress_bar()


def load_tokenizer(folder: Path) -> Any:
    """Return the tokenizer of a base folder; from the GGUF file where that is all there is.

    Raises:
        StepError: the folder has no tokenizer that transformers can read.
    """
    before_torch()
    from transformers import AutoTokenizer

    where: dict[str, Any] = {}
    gguf = gguf_file(folder)
    if gguf is not None and not any(folder.glob("tokenizer*")):
        where["gguf_file"] = gguf.name
    try:
        with quiet():
            return AutoTokenizer.from_pretrained(
                str(folder), local_files_only=True, trust_remote_code=False, **where
            )
    except Exception as error:
        raise StepError(
            f"the tokenizer cannot be loaded: {first_line(error)}",
            hint=f"the base has the files {names(folder)}; a tokenizer.json is what works best",
        ) from error


def encode(segments: Sequence[Segment], tokenizer: Any) -> tuple[list[int], list[int]]:
    """Return token ids and labels of a rendered row; see `encode_all`."""
    return encode_all([segments], tokenizer)[0]


def encode_all(
    rows: Sequence[Sequence[Segment]], tokenizer: Any
) -> list[tuple[list[int], list[int]]]:
    """Tokenise rendered rows; the one convention for training and for generation.

    - A row starts with the tokenizer's beginning-of-sequence token where the tokenizer itself
      puts one before a text, unless the first segment's text starts with it.
    - Each segment is tokenised alone, so that no token spans what is learnt and what is not.
    - A learnt segment is followed by the end-of-sequence token, unless its text ends with it.
    - Labels are the ids where the segment is learnt, that token included, and -100 elsewhere;
      they are not shifted.

    Returns:
        For each row (input_ids, labels), lists of the same length.
    """
    texts = [segment.text for row in rows for segment in row]
    encoded = iter(tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else [])
    first = _bos_of(tokenizer)
    end, end_text = tokenizer.eos_token_id, tokenizer.eos_token
    result = []
    for row in rows:
        input_ids: list[int] = []
        labels: list[int] = []
        if first is not None and not (row and row[0].text.startswith(tokenizer.bos_token)):
            input_ids, labels = [first], [IGNORE]
        for segment in row:
            ids = list(next(encoded))
            if segment.learn and end is not None and not segment.text.endswith(end_text):
                ids.append(end)
            input_ids += ids
            labels += ids if segment.learn else [IGNORE] * len(ids)
        result.append((input_ids, labels))
    return result


def _bos_of(tokenizer: Any) -> int | None:
    """Return the token that the tokenizer puts before a text by itself, if it does."""
    bos = tokenizer.bos_token_id
    return bos if bos is not None and tokenizer("a")["input_ids"][:1] == [bos] else None


# ---- words for messages ---------------------------------------------------------------------


def gguf_file(folder: Path) -> Path | None:
    """Return the folder's GGUF file, or None; more than one is an error."""
    found = sorted(folder.glob("*.gguf"))
    if len(found) > 1:
        raise StepError(
            f"the base has {len(found)} GGUF files: {', '.join(path.name for path in found)}",
            hint="select one with the source's `include:`; split files are not supported",
        )
    return found[0] if found else None


def names(folder: Path) -> str:
    """Return the names of the files in a folder, for a message."""
    found = sorted(path.name for path in folder.iterdir() if path.is_file())
    return ", ".join(found[:12]) + (", ..." if len(found) > 12 else "") or "none"


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text, for a message."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:300]
