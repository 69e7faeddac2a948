"""Embed texts as unit vectors, so that the cosine measures their similarity.

Plain transformers, with the pooling that a sentence-transformers model declares; equal to what
sentence-transformers gives.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from khichdi.schema.errors import StepError

Vectors = np.ndarray[Any, np.dtype[np.float32]]
Cosines = np.ndarray[Any, np.dtype[np.float64]]
Pairs = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]

TOKENS = 2048  # of a batch
STEP = 16  # lengths are filled up to a multiple of this many tokens
SLACK = 1e-4  # single precision is off by less than this
KEPT = 8192  # rows that a block is multiplied with at once

POOLING = {"pooling_mode_cls_token": "cls", "pooling_mode_mean_tokens": "mean"}


class Embedder:
    """Embeds texts with a model in a folder: `config.json`, weights and tokenizer.

    The embedding of a text does not depend on others in the batch: every batch of some length
    has the same shape, filled up with copies, so the same sums are taken in the same order.
    """

    def __init__(self, folder: Path) -> None:
        import torch
        from transformers import AutoModel, AutoTokenizer

        if not (folder / "config.json").is_file():
            names = ", ".join(sorted(path.name for path in folder.iterdir())[:8])
            raise StepError(
                f"the embedding's files have no config.json at their top; there are: {names}",
                hint="`include:` must match config.json, the weights and the tokenizer of one "
                "model, all from one folder",
            )
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            model = AutoModel.from_pretrained(folder, local_files_only=True, dtype=torch.float32)
        except (OSError, ValueError) as error:
            raise StepError(
                f"the embedding model cannot be loaded: {str(error).splitlines()[0]}",
                hint="`include:` must match config.json, the weights and the tokenizer",
            ) from error
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._model = model.eval().to(self._device)
        self._pooling = _pooling(folder)
        self._longest = self._longest_text(folder)

    @property
    def dimensions(self) -> int:
        """Return how long vectors are."""
        return int(self._model.config.hidden_size)

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return a vector of length 1 for each text, (texts, dimensions).

        Of longer texts the beginning counts, as far as the model was made for (256 tokens of
        all-MiniLM-L6-v2).
        """
        different = list(dict.fromkeys(texts))
        place = {text: number for number, text in enumerate(different)}
        vectors = np.zeros((len(different), self.dimensions), np.float32)
        for rows, tokens, length in self._batches(different):
            vectors[rows] = self._forward(tokens, length)[: len(rows)]
        return vectors[[place[text] for text in texts]]

    def _longest_text(self, folder: Path) -> int:
        """Return how many tokens of a text count."""
        declared = _json(folder / "sentence_bert_config.json").get("max_seq_length")
        limits = [declared, self._tokenizer.model_max_length]
        limits.append(getattr(self._model.config, "max_position_embeddings", None))
        return min(int(limit) for limit in limits if limit)

    def _batches(self, texts: Sequence[str]) -> Iterator[tuple[list[int], list[list[int]], int]]:
        """Yield texts of about one length: their places, their tokens, and the filled length."""
        if not texts:
            return
        encoded = self._tokenizer(list(texts), truncation=True, max_length=self._longest)
        by_length: dict[int, list[int]] = {}
        for row, tokens in enumerate(encoded["input_ids"]):
            by_length.setdefault(-(-len(tokens) // STEP) * STEP, []).append(row)
        for length, rows in sorted(by_length.items()):
            size = max(1, TOKENS // length)
            for start in range(0, len(rows), size):
                part = rows[start : start + size]
                tokens = [encoded["input_ids"][row] for row in part]
                yield part, tokens + tokens[:1] * (size - len(part)), length

    def _forward(self, tokens: list[list[int]], length: int) -> Vectors:
        import torch

        length = min(length, self._longest)
        ids = torch.zeros((len(tokens), length), dtype=torch.long)
        mask = torch.zeros((len(tokens), length), dtype=torch.long)
        for row, numbers in enumerate(tokens):
            ids[row, : len(numbers)] = torch.tensor(numbers)
            mask[row, : len(numbers)] = 1
        ids, mask = ids.to(self._device), mask.to(self._device)
        with torch.inference_mode():
            hidden = self._model(input_ids=ids, attention_mask=mask).last_hidden_state
            if self._pooling == "cls":
                pooled = hidden[:, 0]
            else:
                weights = mask.unsqueeze(-1).to(hidden.dtype)
                pooled = (hidden * weights).sum(1) / weights.sum(1)
            vectors: Vectors = torch.nn.functional.normalize(pooled, dim=1).cpu().numpy()
        return vectors


def _json(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text())) if path.is_file() else {}


def _pooling(folder: Path) -> str:
    """Return the pooling of token vectors; the mean where the model declares none."""
    declared = _json(folder / "1_Pooling" / "config.json")
    chosen = [name for name, value in declared.items() if name in POOLING and value]
    other = [
        name
        for name, value in declared.items()
        if name.startswith("pooling_mode_") and name not in POOLING and value
    ]
    if other or len(chosen) > 1:
        raise StepError(
            f"the embedding model pools by {' and '.join([*chosen, *other])}",
            hint="models that pool by the mean or by the first token are understood",
        )
    return POOLING[chosen[0]] if chosen else "mean"


def cosines(one: Vectors, two: Vectors) -> Cosines:
    """Return the cosine of each pair of vectors, in double precision."""
    found: Cosines = (one.astype(np.float64) * two.astype(np.float64)).sum(axis=1)
    return found


def similar_pairs(
    left: Vectors, right: Vectors, above: float, *, earlier: bool = False
) -> list[tuple[int, int, float]]:
    """Return the pairs whose cosine is at least this, in order of the left and then the right.

    With `earlier`, both are the same rows, and each pair is taken once: the later one is left.
    Products of single precision find the pairs, and double precision decides.
    """
    found: list[tuple[int, int, float]] = []
    for start in range(0, len(right), KEPT):
        part = right[start : start + KEPT]
        near = left @ part.T >= above - SLACK
        if earlier:
            near &= np.arange(len(left))[:, None] > np.arange(start, start + len(part))
        rows, others = np.nonzero(near)
        values = cosines(left[rows], part[others])
        good = values >= above
        others = others[good] + start
        found += zip(rows[good].tolist(), others.tolist(), values[good].tolist(), strict=True)
    return sorted(found)
