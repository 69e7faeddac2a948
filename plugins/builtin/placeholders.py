"""Fill placeholders in braces: `Question: {instruction}`; `{{` and `}}` are literal braces.

Light: imported at start-up. The names are put in as they are: no format, no expression.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from string import Formatter

from khichdi.schema.did_you_mean import nearest


class PlaceholderText:
    """A text with names in braces, parsed once.

    Attributes:
        names: the names in the text, each once, in order.
    """

    def __init__(self, text: str) -> None:
        self._parts = _parts(text)
        self.names = tuple(dict.fromkeys(name for _, name in self._parts if name is not None))

    def fill(self, values: Mapping[str, str], *, strip: bool = True) -> str:
        """Return the text with a value for each name.

        White space at the ends is left out, unless `strip` is false: an empty value leaves it.
        """
        filled = (
            before + (values[name] if name is not None else "") for before, name in self._parts
        )
        text = "".join(filled)
        return text.strip() if strip else text


def _parts(text: str) -> list[tuple[str, str | None]]:
    parts = []
    for before, name, layout, conversion in Formatter().parse(text):
        if name is not None and (not name.strip() or layout or conversion):
            raise ValueError(f"a name was expected between the braces, found {{{name}}}")
        parts.append((before, name))
    return parts


def checked(text: str) -> str:
    """Return the text, or raise `ValueError` when its braces are not in order."""
    try:
        _parts(text)
    except ValueError as error:
        raise ValueError(f"{error}; write `{{{{` and `}}}}` for braces that are meant") from None
    return text


def check_names(text: str, known: Collection[str]) -> None:
    """Raise `ValueError` when a text has a name in braces that is not known."""
    for name in PlaceholderText(text).names:
        if name not in known:
            near = nearest(name, known)
            guess = f"did you mean `{{{near}}}`? " if near else ""
            raise ValueError(f"nothing is called `{{{name}}}`: {guess}known: {', '.join(known)}")
