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
from ..kinds import Rendering
from .torch_environment import before_torch

IGNORE = -100
"""The label of a token that the loss does not count."""

Encoded = tuple[list[int], list[int]]
"""Token ids, and labels: the ids where the loss counts, -100 elsewhere."""

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


def encode(rendering: Rendering, tokenizer: Any) -> Encoded:
    """Return token ids and labels of a rendered sample; see `encode_all`."""
    return encode_all([rendering], tokenizer)[0]


def encode_all(renderings: Sequence[Rendering], tokenizer: Any) -> list[Encoded]:
    """Tokenize rendered samples, each whole; the one convention for training and generation.

    - A sample that is not complete starts with the beginning-of-sequence token where the tokenizer
      itself puts one before a text, unless its text starts with it.
    - A token counts when its last character lies in a span of the rendering. Labels are the ids
      of tokens that count, and -100 elsewhere; they are not shifted.

    Returns:
        For each sample (input_ids, labels), lists of the same length.

    Raises:
        StepError: the tokenizer does not say which characters a token stands for, and a span does
            not begin and end between two tokens.
    """
    if not renderings:
        return []
    texts = [rendering.text for rendering in renderings]
    fast = tokenizer.is_fast
    with quiet():  # a text longer than the model's window is truncated later, or dropped
        found = tokenizer(texts, add_special_tokens=False, return_offsets_mapping=fast)
    first = bos_of(tokenizer)
    encoded = []
    for number, rendering in enumerate(renderings):
        ids = list(found["input_ids"][number])
        ends = _ends(found["offset_mapping"][number]) if fast else _slow(rendering, ids, tokenizer)
        labels = _labels(rendering, ids, ends)
        if first is not None and not (
            rendering.complete or rendering.text.startswith(tokenizer.bos_token)
        ):
            ids, labels = [first, *ids], [IGNORE, *labels]
        encoded.append((ids, labels))
    return encoded


def _ends(offsets: Sequence[tuple[int, int]]) -> list[int]:
    return [end for _, end in offsets]


def _labels(rendering: Rendering, ids: Sequence[int], ends: Sequence[int]) -> list[int]:
    """Return the ids of tokens that end in a span, and -100 for the others."""
    spans = iter(rendering.spans)
    start, stop = next(spans, (0, 0))
    labels = []
    for token, end in zip(ids, ends, strict=True):
        while end > stop and (following := next(spans, None)) is not None:
            start, stop = following
        labels.append(token if start < end <= stop else IGNORE)
    return labels


def _slow(rendering: Rendering, ids: Sequence[int], tokenizer: Any) -> list[int]:
    """Return tokens' ends to the next bound of a span, where each bound falls between tokens."""
    bounds = sorted({bound for span in rendering.spans for bound in span} | {len(rendering.text)})
    ends: list[int] = []
    for bound in bounds:
        before = tokenizer(rendering.text[:bound], add_special_tokens=False)["input_ids"]
        if list(before) != list(ids[: len(before)]):
            raise StepError(
                f"the tokenizer ({type(tokenizer).__name__}) does not say which characters a token "
                "stands for, and its tokens at the start of an answer depend on what follows",
                hint="use a base with a tokenizer.json; transformers writes one with "
                "`tokenizer.save_pretrained` of a fast tokenizer",
            )
        ends += [bound] * (len(before) - len(ends))
    return ends


def bos_of(tokenizer: Any) -> int | None:
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
