"""Parse message trees from records of single messages and of whole trees."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from khichdi.plugins import SourceFile

from ..records.formats import records
from ..records.record import FileRecord, RecordError, what
from ..records.row_mapper import text_at
from .roles import ROLES

FIELDS = (
    "message_id", "parent_id", "role", "text", "lang", "rank", "deleted", "synthetic",
    "prompt", "message_tree_id",
)  # fmt: skip

LANGUAGES = {
    "ar": "Arabic", "bg": "Bulgarian", "bn": "Bengali", "ca": "Catalan", "cs": "Czech",
    "da": "Danish", "de": "German", "el": "Greek", "en": "English", "eo": "Esperanto",
    "es": "Spanish", "eu": "Basque", "fa": "Persian", "fi": "Finnish", "fr": "French",
    "gl": "Galician", "he": "Hebrew", "hi": "Hindi", "hu": "Hungarian", "id": "Indonesian",
    "it": "Italian", "ja": "Japanese", "ko": "Korean", "nb": "Norwegian", "nl": "Dutch",
    "pl": "Polish", "pt": "Portuguese", "ro": "Romanian", "ru": "Russian", "sk": "Slovak",
    "sv": "Swedish", "th": "Thai", "tr": "Turkish", "uk": "Ukrainian", "vi": "Vietnamese",
    "zh": "Chinese",
}  # fmt: skip
"""Codes of languages -> the English names that rows have; another code stays as it is."""


@dataclass(eq=False)
class Message:
    """One message; `record` is its record, `replies` are in the order of the file."""

    record: FileRecord
    id: str
    parent: str | None
    role: str
    text: str
    language: str
    rank: float | None
    deleted: bool
    synthetic: bool
    replies: list[Message] = field(default_factory=list)


class Forest:
    """The trees of one file.

    Attributes:
        roots: the first message of each tree, in the order of the file.
    """

    def __init__(self) -> None:
        self.roots: list[Message] = []

    def grow(self, file: SourceFile) -> Iterator[RecordError]:
        """Read all messages of a file; yield the errors."""
        flat: dict[str, Message] = {}
        for found in records(file, FIELDS):
            if isinstance(found, RecordError):
                yield found
                continue
            try:
                if isinstance(found.value.get("prompt"), dict):
                    self.roots.append(_root(_nested(found)))
                    continue
                message = _message(found, found.value)
                if message.id in flat:
                    raise found.error(f"message {message.id} is there twice", reason="duplicate-id")
                flat[message.id] = message
            except RecordError as bad:
                yield bad
        yield from self._join(flat)

    def _join(self, flat: dict[str, Message]) -> Iterator[RecordError]:
        """Hang single messages below their parents; yield those that hang below no root."""
        waiting = []
        for message in flat.values():
            if message.parent is None:
                waiting.append(message)
            elif message.parent in flat:
                flat[message.parent].replies.append(message)
        held = set()
        for message in waiting:
            try:
                self.roots.append(_root(message))
            except RecordError as bad:
                yield bad
        while waiting:
            message = waiting.pop()
            held.add(message.id)
            waiting += message.replies
        for message in flat.values():
            if message.id not in held:
                yield message.record.error(
                    f"message {message.id} hangs below no tree: its parent is {message.parent}",
                    "a file holds whole trees; was it cut, or was the parent dropped as bad?",
                    "orphan",
                )


def _nested(record: FileRecord) -> Message:
    """Return the root of a tree that is one record, with its replies below it."""
    root = _message(record, record.value["prompt"])
    waiting = [(root, record.value["prompt"])]
    while waiting:
        message, value = waiting.pop()
        replies = value.get("replies")
        for reply in replies if isinstance(replies, list) else []:
            message.replies.append(_message(record, reply))
            waiting.append((message.replies[-1], reply))
    return root


def _root(message: Message) -> Message:
    if message.role != "user":
        raise message.record.error("a tree starts with the assistant, not with a prompter")
    return message


def _message(record: FileRecord, value: Any) -> Message:
    """Return one message, checked."""
    if not isinstance(value, dict):
        raise record.error(f"a message was expected, found {what(value)}", reason="wrong-type")
    here = FileRecord(record.file, record.number, record.line, value, record.names)
    role = ROLES.get(text_at(here, "role").lower())
    if role is None:
        raise record.error(
            f"unknown role {value['role']!r}", f"known roles: {', '.join(ROLES)}", "unknown-role"
        )
    language = text_at(here, "lang", "")
    rank = value.get("rank")
    if rank is not None and not isinstance(rank, int | float):
        raise record.error(f"`rank` must be a number, found {what(rank)}", reason="wrong-type")
    return Message(
        record=record,
        id=text_at(here, "message_id"),
        parent=text_at(here, "parent_id", "") or None,
        role=role,
        text=text_at(here, "text"),
        language=LANGUAGES.get(language.split("-", 1)[0].lower(), language),
        rank=rank,
        deleted=bool(value.get("deleted")),
        synthetic=bool(value.get("synthetic")),
    )
