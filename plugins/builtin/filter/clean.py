"""Clean texts: white space, Unicode, mojibake, HTML. Clean text stays unchanged."""

from __future__ import annotations

import html
import re
import unicodedata
from typing import Literal

from pydantic import Field

from .base.text_editor import FieldsParams, TextEditor


class Strip(TextEditor[FieldsParams]):
    """Strip white space from both ends of texts."""

    name = "strip"

    def text(self, text: str) -> str:
        """Return the text without white space at its ends."""
        return text.strip()


class CollapseWhitespaceParams(FieldsParams):
    """Fields to edit, and whether line breaks are kept."""

    lines: Literal["keep", "join"] = Field(
        "keep",
        description=(
            "`keep` preserves line breaks, but reduces three or more in a row to two; `join` makes "
            "the text one line."
        ),
    )


_BREAKS = re.compile(r"\r\n?|[\x0b\x0c\x85\u2028\u2029]")


class CollapseWhitespace(TextEditor[CollapseWhitespaceParams]):
    """Collapse each run of white space to one space; line breaks are kept or joined."""

    name = "collapse-whitespace"

    def text(self, text: str) -> str:
        """Return the text with single spaces, and none at the ends of lines."""
        if self.params.lines == "join":
            return " ".join(text.split())
        lines = [" ".join(line.split()) for line in _BREAKS.sub("\n", text).split("\n")]
        return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


class NormalizeUnicodeParams(FieldsParams):
    """Fields to edit, and the normal form."""

    form: Literal["NFC", "NFKC"] = Field(
        "NFC",
        description=(
            "`NFC` composes letters and accents into one character; `NFKC` also replaces "
            "ligatures and full-width characters by plain letters, and loses superscripts."
        ),
    )


class NormalizeUnicode(TextEditor[NormalizeUnicodeParams]):
    """Normalize Unicode, so that equal texts have equal characters."""

    name = "normalize-unicode"

    def text(self, text: str) -> str:
        """Return the text in the normal form."""
        return unicodedata.normalize(self.params.form, text)


class FixMojibake(TextEditor[FieldsParams]):
    """Fix texts that were decoded with the wrong encoding: `cafÃ©` becomes `café`."""

    name = "fix-mojibake"
    requires = ("ftfy", "pyarrow")

    def text(self, text: str) -> str:
        """Return the text as it was before it was decoded wrongly; quotes stay as they are."""
        import ftfy

        return str(ftfy.fix_encoding(text))


class StripHtmlParams(FieldsParams):
    """Fields to edit, and whether HTML entities are decoded."""

    entities: bool = Field(
        True, description="Decode HTML entities such as `&amp;`, `&lt;` and `&#39;`."
    )


# Names that HTML has: what else stands in angle brackets is code, or a sign of comparison.
_NAMES = (
    "a|abbr|acronym|address|article|aside|audio|b|base|bdi|bdo|big|blockquote|body|br|button|"
    "canvas|caption|center|cite|code|col|colgroup|data|dd|del|details|dfn|div|dl|dt|em|embed|"
    "fieldset|figcaption|figure|font|footer|form|h[1-6]|head|header|hr|html|i|iframe|img|input|"
    "ins|kbd|label|legend|li|link|main|mark|meta|nav|object|ol|optgroup|option|p|param|picture|"
    "pre|q|s|samp|section|select|small|source|span|strike|strong|sub|summary|sup|table|tbody|td|"
    "textarea|tfoot|th|thead|time|title|tr|tt|u|ul|var|video|wbr"
)
_BLOCKS = (
    "address|article|aside|blockquote|br|dd|div|dl|dt|figure|footer|form|h[1-6]|header|hr|li|main|"
    "nav|ol|p|pre|section|table|tr|ul"
)
_HIDDEN = re.compile(r"<!--.*?-->|<(script|style)\b[^<>]*>.*?</\1\s*>", re.DOTALL | re.IGNORECASE)
_BREAK = re.compile(rf"</?(?:{_BLOCKS})(?:\s[^<>]*)?/?>", re.IGNORECASE)
_TAG = re.compile(rf"</?(?:{_NAMES})(?:\s[^<>]*)?/?>", re.IGNORECASE)


class StripHtml(TextEditor[StripHtmlParams]):
    """Strip HTML tags, comments, scripts and styles; blocks begin on a new line."""

    name = "strip-html"

    def text(self, text: str) -> str:
        """Return the text without tags that HTML knows; `List<int>` and `a < b` stay."""
        if "<" in text:
            text = self._untagged(text)
        return html.unescape(text) if self.params.entities and "&" in text else text

    @staticmethod
    def _untagged(text: str) -> str:
        before = None
        while before != text:  # What stood around a tag can be one when it is gone.
            before = text
            text = _TAG.sub("", _BREAK.sub("\n", _HIDDEN.sub("", text)))
        return text
