"""The filter `my-plugin`."""

from __future__ import annotations

from khichdi.plugins import Filter, Params, Row
from pydantic import Field


class MyPluginParams(Params):
    """Parameters of `my-plugin`; every field has a description."""

    share: float = Field(0.5, gt=0, le=1, description="Minimum fraction of upper-case characters.")


class MyPlugin(Filter[MyPluginParams]):
    """Drop rows whose input is mostly in upper case."""

    name = "my-plugin"

    def reason(self, row: Row) -> str | None:
        """Return `shouting` where the share is reached, None to keep the row."""
        text = row["input"]
        share = sum(map(str.isupper, text)) / max(1, len(text))
        return "shouting" if share >= self.params.share else None
