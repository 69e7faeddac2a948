"""Format how a base is trained: packed or unpacked, with which attention."""

from __future__ import annotations

from ..plugins import BaseSupport


def layout_text(support: BaseSupport) -> str:
    """Return a line about a base that is trained."""
    if support.layout == "packed":
        return f"packed   attention: {support.attention}"
    return f"unpacked, a row for each sample: {support.reason}   attention: {support.attention}"


def layout_json(support: BaseSupport | None) -> dict[str, str] | None:
    """Return the same as JSON; None where the base's configuration is not known."""
    if support is None:
        return None
    return {"layout": support.layout, "attention": support.attention, "reason": support.reason}
