"""Write YAML scalars: plain where unambiguous, else quoted."""

from __future__ import annotations

import re
from typing import Any

from .cst import Node

WORDS = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})
"""What YAML 1.1 or 1.2 reads as null or as a truth value, in any case."""
NUMBER = re.compile(r"[-+.]?[0-9][0-9a-zA-Z_.:+-]*([ tT][0-9:.zZ +-]*)?|[-+]?\.(inf|nan)", re.I)
"""Numbers, dates and times of YAML 1.1 and 1.2, and some more that look like them."""
PLAIN = re.compile(r"[\w/.](?:[\w ./@%+-]|:(?=[\w/]))*")
"""Text that is the same with and without quotes, anywhere."""
ESCAPES = {"\n": "\\n", "\t": "\\t", "\r": "\\r", "\0": "\\0", '"': '\\"', "\\": "\\\\"}


def key_text(key: str) -> str:
    """Return a key as it is written. Keys are text, so numbers and words need no quotes."""
    return key if PLAIN.fullmatch(key) and not key.endswith(" ") else quoted(key)


def flow_scalar(node: Node) -> str | None:
    """Return a scalar inside braces or brackets, or None if it takes several lines."""
    if "\n" in node.source or node.style in ("|", ">"):
        return None
    (text,) = scalar_lines(node)
    if text is node.source and node.style is None and not _flow_safe(text):
        return quoted(node.value)
    return text


def scalar_lines(node: Node) -> list[str]:
    """Return a scalar's lines in a block; those after the first want the indent of the block."""
    value = node.value
    if not isinstance(value, str):
        return [_not_text(node)]
    if node.style in ("|", ">"):
        return _block(node)
    if node.source and "\n" in node.source:
        first, *rest = re.split(r"\r?\n", node.source)
        lines = [first, *(line.lstrip(" \t") for line in rest)]
        return [line.rstrip() for line in lines] if node.style is None else lines
    if node.source and node.style is None:
        return [node.source]
    if plain(value):
        return [value]
    simple = value.isprintable() and '"' not in value and "\\" not in value
    return [quoted(value) if simple or not node.source else node.source]


def plain(text: str) -> bool:
    """Return whether text needs no quotes."""
    if not PLAIN.fullmatch(text) or text.endswith(" "):
        return False
    return text.lower() not in WORDS and not NUMBER.fullmatch(text)


def quoted(text: str) -> str:
    """Return text in quotes: double ones, or single ones where that saves escapes."""
    if text.isprintable() and ("\\" in text or '"' in text):
        return "'" + text.replace("'", "''") + "'"
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(character: str) -> str:
    if character in ESCAPES:
        return ESCAPES[character]
    if character.isprintable():
        return character
    code = ord(character)
    return (
        f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"
    )


def _not_text(node: Node) -> str:
    value: Any = node.value
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return node.source or repr(value)


def _flow_safe(text: str) -> bool:
    """Return whether plain text may stand inside braces and brackets as it is."""
    if PLAIN.fullmatch(text):
        return True
    return not re.search(r"[,\[\]{}]|[:?](?![\w/])", text) and not text.startswith(("?", ":"))


def _block(node: Node) -> list[str]:
    """Return `|` or `>` and the lines, indented; or a quoted text where those would not do."""
    value: str = node.value
    text = value.rstrip("\n")
    ends = len(value) - len(text)
    header = re.match(r"[|>]([-+0-9]*)", node.source)
    odd = ends > 1 or not text.rpartition("\n")[2].strip()
    odd = odd or not re.sub("[\n\t]", "", text).isprintable()
    if header is None or odd:
        return [quoted(value)]
    mark = node.style if node.style == ">" and not re.search("[0-9]", header[1]) else "|"
    lines = _folded(node.source) if mark == ">" else text.split("\n")
    first = next(line for line in lines if line)
    indicator = "2" if mark == "|" and first.startswith(" ") else ""
    return [f"{mark}{indicator}{'' if ends else '-'}", *lines]


def _folded(source: str) -> list[str]:
    """Return the lines of a folded text without their indent."""
    lines = source.splitlines()[1:]
    while not lines[-1].strip():
        lines.pop()
    first = next(line for line in lines if line.strip())
    indent = len(first) - len(first.lstrip(" "))
    return [line[indent:] for line in lines]
