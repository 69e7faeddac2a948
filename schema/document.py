"""Base class of documents: frozen, closed, and read from JSON with readable errors.

A document has each entry once: a JSON key given twice, a name listed twice, and a number that has
no canonical form are refused with their place.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)

from .errors import InputError

if TYPE_CHECKING:
    from pydantic.config import JsonDict

T = TypeVar("T")

Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
"""`sha256:` and 64 hexadecimal digits."""

OUTSIDE = re.compile(r"^[/~]|^[A-Za-z]:|[\\\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
LARGEST_INTEGER = 2**53 - 1
"""The largest integer that RFC 8785 has a form for."""


def _stays_below(path: str) -> str:
    parts = path.split("/")
    below = all(part not in ("", ".", "..") and len(part) <= 255 for part in parts)
    if not below or OUTSIDE.search(path) or len(path) > 4096:
        raise ValueError(f"a path below its own folder was expected, got {path[:80]!r}")
    return path


PathBelow = Annotated[str, AfterValidator(_stays_below)]
"""A path, with forward slashes, that never leaves the folder it is seen from."""


def unique(key: str) -> AfterValidator:
    """Refuse a list in which two entries have the same value of a field."""

    def check(entries: tuple[T, ...]) -> tuple[T, ...]:
        refuse_duplicates((getattr(entry, key) for entry in entries), key)
        return entries

    return AfterValidator(check)


def refuse_duplicates(names: Iterable[Any], what: str) -> None:
    """Refuse a name that is listed twice.

    Raises:
        ValueError: names it.
    """
    seen = set()
    for name in names:
        if name in seen:
            raise ValueError(f"the {what} {str(name)[:80]!r} is listed twice")
        seen.add(name)


class Document(BaseModel):
    """A frozen model that refuses unknown keys.

    Validators are built when first used: a command that needs few models starts fast.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values, every default written out."""
        return self.model_dump(mode="json")

    @classmethod
    def from_json(cls, text: str | bytes, file: str) -> Self:
        """Read a document that khichdi wrote.

        Raises:
            InputError: the text is not this document; names the file, the place and the fault.
        """
        try:
            check_numbers(parse_json(text))
        except json.JSONDecodeError:
            pass  # the model's own parser says more of it
        except (ValueError, RecursionError) as error:
            raise cls._refused(error, file) from None
        return cls._validated(text, file)

    @classmethod
    def _validated(cls, text: str | bytes, file: str) -> Self:
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise cls._refused(error, file) from None

    @classmethod
    def _refused(cls, error: Exception, file: str) -> InputError:
        """Return a fault of a document's text as the error that names it."""
        fault = str(error)
        if isinstance(error, ValidationError):
            first = error.errors()[0]
            fault = f"{_place(first['loc'])}: {first['msg']}"
        if isinstance(error, RecursionError):
            fault = "it is nested too deeply"
        return InputError(
            f"not a valid {cls.__name__.lower()}: {fault}",
            file=file,
            hint="it was edited or truncated; make it again with the command that wrote it",
        )


def parse_json(text: str | bytes) -> Any:
    """Parse JSON in which every object has each of its keys once.

    Raises:
        JSONDecodeError: it is not JSON.
        ValueError: a key is given twice; names it and the object.
    """
    try:
        return json.loads(text, object_pairs_hook=_once)
    except UnicodeDecodeError:
        raise json.JSONDecodeError("not UTF-8", "", 0) from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        try:
            refuse_duplicates((key for key, _ in pairs), "key")
        except ValueError as error:
            beside = ", ".join(list(found)[:4])
            raise ValueError(f"in the object with {beside}: {error}") from None
    return found


def check_numbers(value: Any, place: tuple[str | int, ...] = ()) -> None:
    """Refuse a number that RFC 8785 has no form for, anywhere in a JSON value.

    Raises:
        ValueError: names the place.
    """
    if isinstance(value, dict):
        for key, item in value.items():
            check_numbers(item, (*place, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            check_numbers(item, (*place, index))
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{_place(place)}: {value} is not a number of JSON")
    elif isinstance(value, int) and abs(value) > LARGEST_INTEGER:
        raise ValueError(f"{_place(place)}: an integer beyond 2**53 - 1")


def _place(path: Iterable[str | int]) -> str:
    return ".".join(str(part) for part in path) or "the document"


def operational(default: Any, *, description: str, **constraints: Any) -> Any:
    """Declare a field that cannot change results (workers, folders, log level).

    Such a field stays outside every digest. The mark travels in the JSON Schema as
    `x-operational`, so that editors and reviewers see it too.
    """
    mark: JsonDict = {"x-operational": True}
    return Field(default, description=description, json_schema_extra=mark, **constraints)


def later(default: Any, *, description: str, **constraints: Any) -> Any:
    """Declare a field that a released model gains: at its default it is not written out.

    So the digests of documents that were made before it do not change.
    """
    return Field(
        default, description=description, exclude_if=lambda value: value == default, **constraints
    )


def operational_fields(model: type[BaseModel]) -> frozenset[str]:
    """Return the names of the fields declared by `operational`."""
    marked = set()
    for name, field in model.model_fields.items():
        extra = field.json_schema_extra
        if isinstance(extra, dict) and extra.get("x-operational"):
            marked.add(name)
    return frozenset(marked)
