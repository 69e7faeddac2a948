"""Seal documents with a digest of themselves, so that no change goes unnoticed.

A seal shows damage and careless edits. It does not show who wrote the document: whoever changes it
on purpose can seal it again, and only a signature stands against that.
"""

from __future__ import annotations

import json
from typing import Any, ClassVar, Self

from .digest import digest
from .document import Document
from .errors import InputError

SEAL = "seal"
HINT = "it was edited or damaged; restore it, or create it again"


class Sealed(Document):
    """A document whose file carries its seal: the digest of the file's text without the seal.

    The text has one layout only, so that even a change that means the same (`1E5` for `1e5`) is
    seen, and a file from which the seal was taken is refused.
    """

    indent: ClassVar[int] = 1
    sort_keys: ClassVar[bool] = False

    def seal(self) -> str:
        """Return the digest that the file carries: of all that is in the document."""
        return self._seal(json.loads(self.model_dump_json()))

    def to_text(self) -> str:
        """Return the file's text."""
        value = json.loads(self.model_dump_json())
        return self._text({**value, SEAL: self._seal(value)})

    @classmethod
    def from_json(cls, text: str | bytes, file: str) -> Self:
        """Read a document and compare it with its seal.

        Raises:
            InputError: the text is not this document, or not as it was written.
        """
        value = _object(text)
        told = None if value is None else value.pop(SEAL, None)
        # The model comes first: it says more of a file that is something else, or half of one.
        found = super().from_json(text if value is None else json.dumps(value), file)
        if value is None or told is None:
            raise InputError(f"this {cls.__name__.lower()} is not sealed", file=file, hint=HINT)
        made = cls._seal(value)
        raw = text.encode() if isinstance(text, str) else text
        # A checkout may have turned the ends of lines; no single bit does that.
        written = cls._text({**value, SEAL: told}).encode()
        if made != told or raw.replace(b"\r\n", b"\n") != written:
            raise InputError(
                f"this {cls.__name__.lower()} is not as it was written: it is sealed with {told}, "
                f"what it says now gives {made}"
                + ("" if made != told else ", laid out in another way"),
                file=file,
                hint=HINT,
            )
        return found

    @classmethod
    def _seal(cls, value: dict[str, Any]) -> str:
        return digest(f"seal-{cls.__name__.lower()}", cls._text(value))

    @classmethod
    def _text(cls, value: dict[str, Any]) -> str:
        text = json.dumps(value, indent=cls.indent, sort_keys=cls.sort_keys, ensure_ascii=False)
        return text + "\n"


def _object(text: str | bytes) -> dict[str, Any] | None:
    """Return the JSON object in a file; None where there is none."""
    try:
        value = json.loads(text)
        json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair cannot be written
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
