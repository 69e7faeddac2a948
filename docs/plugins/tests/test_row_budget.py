"""The conformance kit, and what is particular to `row-budget`."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from khichdi.plugins import Facts
from khichdi.plugins.testing import RuleTests

from khichdi_examples.row_budget import RowBudget, RowBudgetParams


class TestRowBudget(RuleTests):
    """What every rule is held to."""

    plugin = RowBudget
    record = Path(__file__).with_name("version.json")
    wrong_params = ({}, {"at_most": 0})


def breaches(at_most: int, **known: Any) -> list[tuple[str, str]]:
    """Return severity and message of each breach."""
    found = SimpleNamespace(**{"rows": None, "at_least": None, "unknown": (), **known})
    facts = Facts({}, None, {}, estimate=lambda name: found)
    rule = RowBudget(RowBudgetParams(at_most=at_most))
    return [(breach.severity, breach.message) for breach in rule.breaches(facts)]


def test_more_rows_than_allowed_are_refused() -> None:
    """As many are not."""
    assert breaches(100, rows=100) == []
    assert breaches(100, rows=101) == [("error", "101 rows to train on, 100 are allowed")]


def test_what_is_not_known_is_a_warning_unless_the_least_is_too_much() -> None:
    """A lower bound is enough to refuse."""
    bound = SimpleNamespace(rows=5_000)
    assert breaches(100)[0][0] == "warning"
    assert breaches(9_000, at_least=bound)[0][0] == "warning"
    assert breaches(100, at_least=bound)[0][0] == "error"
    assert RowBudget(RowBudgetParams(at_most=1)).breaches(Facts({}, None, {})) == []
