"""Base class of documents: frozen, closed, and read from JSON with readable errors."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Self

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

Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
"""`sha256:` and 64 hexadecimal digits."""


OUTSIDE = re.compile(r"^[/~]|^[A-Za-z]:|[\\\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def _stays_below(path: str) -> str:
    parts = path.split("/")
    below = all(part not in ("", ".", "..") and len(part) <= 255 for part in parts)
    if not below or OUTSIDE.search(path) or len(path) > 4096:
        raise ValueError(f"a path below its own folder was expected, got {path[:80]!r}")
    return path


PathBelow = Annotated[str, AfterValidator(_stays_below)]
"""A path, with forward slashes, that never leaves the folder it is seen from."""


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
            InputError: the text is not this document; names the file and the first fault.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"]) or "the document"
            raise InputError(
                f"not a valid {cls.__name__.lower()}: {place}: {first['msg']}",
                file=file,
                hint="it was edited or truncated; create it again with the command that wrote it",
            ) from None


def operational(default: Any, *, description: str, **constraints: Any) -> Any:
    """Declare a field that cannot change results (workers, folders, log level).

    Such a field stays outside every digest. The mark travels in the JSON Schema as
    `x-operational`, so that editors and reviewers see it too.
    """
    mark: JsonDict = {"x-operational": True}
    return Field(default, description=description, json_schema_extra=mark, **constraints)


def operational_fields(model: type[BaseModel]) -> frozenset[str]:
    """Return the names of the fields declared by `operational`."""
    marked = set()
    for name, field in model.model_fields.items():
        extra = field.json_schema_extra
        if isinstance(extra, dict) and extra.get("x-operational"):
            marked.add(name)
    return frozenset(marked)
