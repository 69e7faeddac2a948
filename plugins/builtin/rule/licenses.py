"""Check declared licenses against a list of allowed ones."""

from __future__ import annotations

from pydantic import Field

from khichdi.plugins import Breach, Facts, Params, Rule


class LicensesParams(Params):
    """Allowed licenses, as SPDX ids."""

    allow: tuple[str, ...] = Field(
        min_length=1, description="Allowed SPDX ids of data sets (`CC-BY-4.0`)."
    )
    base: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description="Allowed SPDX ids of the base model; not checked if omitted.",
    )


class Licenses(Rule[LicensesParams]):
    """Allow only data sets (and a base model) with listed licenses; undeclared ones fail."""

    name = "licenses"
    example = {"allow": ["apache-2.0", "cc-by-4.0"]}

    def breaches(self, facts: Facts) -> list[Breach]:
        """Return a breach for each licence that is not allowed; case does not count, as in SPDX."""
        found = []
        for name, license_ in sorted(facts.data_licenses.items()):
            message = _fault(license_, self.params.allow)
            if message:
                place = ("data", name) if license_ is None else ("data", name, "license")
                found.append(Breach(f"data set `{name}` {message}", place))
        if self.params.base is not None:
            message = _fault(facts.base_license, self.params.base)
            if message:
                found.append(Breach(f"the base model {message}", ("model", "base")))
        return found


def _fault(license_: str | None, allowed: tuple[str, ...]) -> str | None:
    known = ", ".join(allowed)
    if license_ is None:
        return f"declares no license; one of these was expected: {known}"
    if license_.lower() not in {name.lower() for name in allowed}:
        return f"is under {license_}, which is not allowed; allowed: {known}"
    return None
