"""Seal documents with a digest of themselves, so that no change goes unnoticed.

A seal detects damage and careless edits. It does not prove who wrote the document: an attacker can
change it and seal it again, and only a signature stands against that.
"""

from __future__ import annotations

import json
from typing import Any, ClassVar, Self

from .digest import digest
from .document import Document, check_numbers, parse_json
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
        """Return the digest that the file carries: of the whole document."""
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
        if value is None:
            super().from_json(text, file)  # it explains a file of another kind, or half of one
            raise cls._broken("is not sealed", file)
        try:
            check_numbers(value)
        except (ValueError, RecursionError) as error:
            raise cls._refused(error, file) from None
        found = cls._validated(json.dumps(value), file)
        if told is None:
            raise cls._broken("is not sealed", file)
        made = cls._seal(value)
        raw = text.encode() if isinstance(text, str) else text
        # A checkout may have converted line endings; no single flipped bit does that.
        if (
            made == told
            and raw.replace(b"\r\n", b"\n") == cls._text({**value, SEAL: told}).encode()
        ):
            return found
        try:
            parse_json(text)
        except ValueError as error:
            raise cls._refused(error, file) from None
        raise cls._broken(
            f"is not as it was written: its seal is {told}, its content gives {made}"
            + ("" if made != told else ", laid out in another way"),
            file,
        )

    @classmethod
    def _broken(cls, what: str, file: str) -> InputError:
        return InputError(f"this {cls.__name__.lower()} {what}", file=file, hint=HINT)

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
