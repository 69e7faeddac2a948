"""Field names and descriptions shared by filters; no heavy imports."""

from __future__ import annotations

from typing import Literal

TextField = Literal["instruction", "input", "output"]

EMBEDDING = (
    "The sentence-embedding model: config.json, weights and tokenizer, and if it has them "
    "modules.json, 1_Pooling and sentence_bert_config.json."
)
