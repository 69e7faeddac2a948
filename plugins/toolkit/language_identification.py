"""Identify the language of texts with py3langid, whose model comes in its package."""

from __future__ import annotations

from functools import cache
from typing import Any


@cache
def language_identifier() -> Any:
    """Return the library's identifier: `labels`, and `classify(text)` with a probability.

    It takes half a second to load: once for all callers.

    Raises:
        ModuleNotFoundError: py3langid is not installed.
    """
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
