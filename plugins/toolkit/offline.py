"""What sources advise where the network does not answer. Light: no library is imported."""

from __future__ import annotations

WITHOUT_NETWORK = (
    "without a network, `--mirror DIR` reads sources from a folder that `recipe mirror` filled "
    "elsewhere, and `recipe rehearse` tries the recipe on generated rows"
)
"""The end of a hint."""
