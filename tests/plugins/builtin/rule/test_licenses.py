from __future__ import annotations

from khichdi.plugins import Facts
from khichdi.plugins.registry import load_registry


def breaches(data, base=None, **params):
    rule = load_registry().create("rule", "licenses", params)
    facts = Facts(base={"repo": "a/b"}, base_license=base, data_licenses=data)
    return [(breach.path, breach.message) for breach in rule.breaches(facts)]


def test_allowed_licences_break_nothing():
    assert breaches({"lima": "mit", "dolly": "CC-BY-4.0"}, allow=["MIT", "CC-BY-4.0"]) == []


def test_other_and_undeclared_licences_are_named_with_their_place():
    data = {"b": None, "a": "CC-BY-NC-4.0", "c": "MIT"}
    assert breaches(data, allow=["MIT"]) == [
        (
            ("data", "a", "license"),
            "data set `a` is under CC-BY-NC-4.0, which is not allowed; allowed: MIT",
        ),
        (("data", "b"), "data set `b` declares no license; one of these was expected: MIT"),
    ]


def test_the_base_is_checked_only_when_asked():
    assert breaches({}, base="llama2", allow=["MIT"]) == []
    [(path, message)] = _base("llama2")
    assert path == ("model", "base")
    assert "llama2" in message
    assert _base("Apache-2.0") == []
    assert "declares no license" in _base(None)[0][1]


def _base(license_):
    rule = load_registry().create("rule", "licenses", {"allow": ["MIT"], "base": ["Apache-2.0"]})
    facts = Facts(base={}, base_license=license_, data_licenses={})
    return [(breach.path, breach.message) for breach in rule.breaches(facts)]
