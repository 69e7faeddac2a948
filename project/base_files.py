"""The small files of a base: its configuration and tokenizer, before its weights are read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..compiler.estimate.architectures import known_config
from ..compiler.instances import ask
from ..schema.record import StepResult
from .session import Session


@dataclass(frozen=True)
class KnownBase:
    """What is known of a base.

    Attributes:
        config: its `config.json`; None where it is not known.
        tokens: how many ids its tokenizer has, from 0 to the highest; None where not known.
    """

    config: Mapping[str, Any] | None = None
    tokens: int | None = None


def known_base(session: Session, results: Mapping[str, StepResult | None]) -> KnownBase:
    """Return what the store or this machine has of a recipe's base, else what its name tells."""
    folder = _folder(session, results)
    path = _nearest_config(folder) if folder is not None else None
    config = _document(path) if path is not None else None
    if path is None or config is None:
        return KnownBase(known_config(session.compiled.recipe, session.registry))
    return KnownBase(config, tokens_of(_document(path.parent / "tokenizer.json") or {}))


def tokens_of(tokenizer: Mapping[str, Any]) -> int | None:
    """Return the number of ids of a `tokenizer.json`, up to the highest."""
    model = tokenizer.get("model")
    vocabulary = model.get("vocab") if isinstance(model, Mapping) else None
    if isinstance(vocabulary, Mapping):
        ids = [number for number in vocabulary.values() if isinstance(number, int)]
    elif isinstance(vocabulary, list):  # pairs of a piece and its score
        ids = [len(vocabulary) - 1]
    else:
        return None
    added = tokenizer.get("added_tokens")
    for token in added if isinstance(added, list) else []:
        if isinstance(token, Mapping) and isinstance(token.get("id"), int):
            ids.append(token["id"])
    return max(ids, default=-1) + 1


def _folder(session: Session, results: Mapping[str, StepResult | None]) -> Path | None:
    done = results.get("base")
    if done is not None:
        return session.store.folder(done.outputs["files"])
    origin = session.compiled.folders["base"]
    step = session.compiled.recipe.model.base
    local: Path | None = ask(
        session.registry, "source", step, lambda source: source.local_folder(origin)
    )
    return local


def _nearest_config(folder: Path) -> Path | None:
    """Return the config.json nearest to the top of a folder."""
    for pattern in ("config.json", "*/config.json", "*/*/config.json"):
        for path in sorted(folder.glob(pattern)):
            return path
    return None


def _document(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
