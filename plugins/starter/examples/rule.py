"""The rule `my-plugin`."""

from __future__ import annotations

from khichdi.plugins import Breach, Facts, Params, Rule
from pydantic import Field


class MyPluginParams(Params):
    """Parameters of `my-plugin`; every field has a description."""

    most: int = Field(10, ge=1, description="Maximum number of data sets in a recipe.")


class MyPlugin(Rule[MyPluginParams]):
    """Limit the number of data sets."""

    name = "my-plugin"

    def breaches(self, facts: Facts) -> list[Breach]:
        """Return a breach where there are more data sets."""
        count = len(facts.data_licenses)
        if count <= self.params.most:
            return []
        return [Breach(f"{count} data sets, at most {self.params.most} are allowed", ("data",))]
