"""Size campaigns by one variable, `KHICHDI_CASES`: the percentage of the cases to try."""

from __future__ import annotations

import os


def sized(whole: int, few: int) -> int:
    """Return how many cases of a campaign to try: few, or the percentage asked for if more."""
    return max(few, whole * int(os.environ.get("KHICHDI_CASES", "0")) // 100)
