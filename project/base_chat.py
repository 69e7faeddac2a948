"""Read what the small files of a base say about chats: its chat templates and special tokens."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..plugins import BaseChat

TEMPLATE = "chat_template.jinja"
SETTINGS = "tokenizer_config.json"
TOKENIZER = "tokenizer.json"


def chat_of(files: Mapping[str, Path]) -> BaseChat | None:
    """Return what files of a base, by name, say about chats; None where they say nothing."""
    settings, tokenizer = (_document(files.get(name)) for name in (SETTINGS, TOKENIZER))
    own = _text(files.get(TEMPLATE)) or settings.get("chat_template")
    if isinstance(own, str):
        own = [{"name": "default", "template": own}]
    if not isinstance(own, list):
        return None
    templates = {
        str(x["name"]): str(x["template"]) for x in own if {"name", "template"} <= x.keys()
    }
    tokens = {name: text for name in settings if (text := _token(name, settings[name]))}
    added = [*_values(settings.get("added_tokens_decoder")), *(tokenizer.get("added_tokens") or ())]
    markers = {str(token["content"]) for token in added if isinstance(token, Mapping)}
    return BaseChat(templates, tokens, frozenset({*markers, *tokens.values()}))


def _token(name: str, value: Any) -> str | None:
    if not name.endswith("_token"):
        return None
    found = value.get("content") if isinstance(value, Mapping) else value
    return found if isinstance(found, str) else None


def _values(found: Any) -> list[Any]:
    return list(found.values()) if isinstance(found, Mapping) else []


def _text(path: Path | None) -> str | None:
    try:
        return path.read_text(encoding="utf-8") if path is not None else None
    except (OSError, UnicodeDecodeError):
        return None


def _document(path: Path | None) -> dict[str, Any]:
    try:
        found = json.loads(_text(path) or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
