"""Win rates with ties, missing values and measures of bias; and the challenge's published table."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
from evaluated import row, scored, write_run
from hypothesis import given
from hypothesis import strategies as st

from khichdi.project.run_lookup import open_run
from khichdi.project.score_tables import ScoreTable, read_file, read_run
from khichdi.project.win_rates import CHALLENGE, SMALLEST, Rules, geometric_mean, rank, win_rates
from khichdi.runtime.store.store import Store
from khichdi.schema.errors import InputError


@pytest.mark.parametrize(
    ("values", "lower", "expected"),
    [
        ({"a": 3.0, "b": 2.0, "c": 1.0, "d": 0.0}, False, [3 / 4, 2 / 4, 1 / 4, 0]),
        ({"a": 3.0, "b": 2.0, "c": 1.0, "d": 0.0}, True, [0, 1 / 4, 2 / 4, 3 / 4]),
        ({"a": 1.0, "b": 1.0, "c": 0.5, "d": 2.0}, False, [1.5 / 4, 1.5 / 4, 0, 3 / 4]),
        ({"a": 1.0, "b": 1.0, "c": 1.0, "d": 1.0}, True, [0.25 / 4] * 4),
        ({"a": None, "b": 0.0, "c": None, "d": 1.0}, False, [0.5 / 4, 2 / 4, 0.5 / 4, 3 / 4]),
        ({"a": None, "b": 0.9, "c": None, "d": 0.1}, True, [0.5 / 4, 2 / 4, 0.5 / 4, 3 / 4]),
        ({"a": None, "b": 0.9}, True, [0, 1 / 2]),
        ({"a": 0.0, "b": -0.0}, False, [0.5 / 2] * 2),
        ({"a": 0.3}, False, [0.0]),
        ({"a": None}, False, [0.0]),
    ],
)
def test_win_rates_by_hand(
    values: dict[str, float | None], lower: bool, expected: list[float]
) -> None:
    assert list(win_rates(values, lower).values()) == pytest.approx(expected, rel=1e-15)


def test_a_table_by_hand() -> None:
    """Two open scenarios, one of two metrics, and a hidden one with a measure of bias."""
    table = {
        "x": {"A - EM": 0.9, "A - F1": 0.5, "B - EM": 0.2, "sam_sum - Stereotypes (race)": 0.1},
        "y": {"A - EM": 0.8, "A - F1": 0.5, "B - EM": 0.3, "sam_sum - Stereotypes (race)": None},
        "z": {"A - EM": 0.7, "A - F1": 0.6, "B - EM": 0.1, "sam_sum - Stereotypes (race)": 0.4},
    }
    found = {one.team: one for one in rank(table)}
    x = found["x"]
    # A: EM 2/3, F1 (0 + 1/2)/3; B: 1/3; the bias of x is the least: 2/3.
    assert x.scenarios == pytest.approx({"A": (2 / 3 + 1 / 6) / 2, "B": 1 / 3, "sam_sum": 2 / 3})
    assert x.open_score == pytest.approx(math.sqrt(5 / 12 * 1 / 3))
    assert x.hidden_score == pytest.approx(2 / 3)
    assert x.score == pytest.approx(math.sqrt(5 / 36) / 3 + 4 / 9)
    assert found["y"].scenarios["sam_sum"] == 0.0
    assert found["y"].hidden_score == pytest.approx(SMALLEST)
    assert [found[team].rank for team in "xyz"] == [1, 3, 2]


@pytest.mark.skipif("KHICHDI_TEST_DATA" not in os.environ, reason="no real data here")
def test_the_published_final_table_comes_out_to_all_digits() -> None:
    path = Path(os.environ["KHICHDI_TEST_DATA"]) / "challenge" / "4090_full_ranks.json"
    table = ScoreTable()
    read_file(path, table)
    standings = rank(table.values)
    assert [one.team for one in standings] == [team for team, _ in json.loads(path.read_text())]
    assert table.figures() == 96
    assert table.disagreeing(standings) == []
    first = standings[0]
    assert (first.open_score, first.hidden_score, first.score) == pytest.approx(
        (0.516114739666671, 0.6098908922169298, 0.5786321747001768), rel=1e-14
    )
    assert {one.team: one.open_score for one in standings}[
        "matthewdouglas_neurips_llm_challenge_2023_inference3"
    ] == pytest.approx(3.0120386425337466e-130, rel=1e-12)


tables = st.integers(1, 5).flatmap(
    lambda metrics: st.lists(
        st.lists(
            st.one_of(st.none(), st.sampled_from([0.0, 0.1, 0.5, 1.0]), st.floats(-1e6, 1e6)),
            min_size=metrics,
            max_size=metrics,
        ),
        min_size=1,
        max_size=7,
    )
)
NAMES = ["A - EM", "A - Stereotypes", "B", "sam_sum - EM", "ethics_law - EM"]


def as_table(rows: list[list[float | None]]) -> dict[str, dict[str, float | None]]:
    return {f"t{n}": dict(zip(NAMES, row, strict=False)) for n, row in enumerate(rows)}


@given(tables, st.randoms())
def test_the_order_of_teams_and_metrics_changes_nothing(
    rows: list[list[float | None]], draw: Any
) -> None:
    table = as_table(rows)
    teams = list(table)
    metrics = list(table["t0"])
    draw.shuffle(teams)
    draw.shuffle(metrics)
    mixed = {team: {metric: table[team][metric] for metric in metrics} for team in teams}

    def plain(found: list[Any]) -> list[Any]:
        return [(one.rank, one.team, one.score, sorted(one.scenarios.items())) for one in found]

    assert plain(rank(mixed)) == plain(rank(table))


@given(tables)
def test_win_rates_are_bounded_and_a_better_value_never_harms(
    rows: list[list[float | None]],
) -> None:
    table = as_table(rows)
    for one in rank(table):
        assert all(0 <= rate < 1 for rate in one.win_rates.values())
        assert 0 < one.score < 1
    column = {team: values["A - EM"] for team, values in table.items()}
    for team in column:
        better = {**column, team: max((v for v in column.values() if v is not None), default=0) + 1}
        assert win_rates(better)[team] >= win_rates(column)[team]
        assert win_rates(better)[team] == (len(column) - 1) / len(column)


@given(st.integers(1, 6), st.lists(st.floats(0, 1), min_size=1, max_size=5))
def test_equal_teams_share_the_first_rank(teams: int, values: list[float]) -> None:
    found = rank(as_table([list(values)] * teams))
    assert {one.rank for one in found} == {1}
    assert len({one.score for one in found}) == 1
    alone = 1 / teams**2 if teams > 1 else 0.0
    assert found[0].win_rates == pytest.approx(dict.fromkeys(found[0].win_rates, alone))


def test_a_zero_counts_as_the_smallest_positive_number() -> None:
    assert geometric_mean([0.25, 1.0]) == 0.5
    assert geometric_mean([0.0, 0.5]) == pytest.approx(math.sqrt(0.5) * math.sqrt(SMALLEST))
    assert geometric_mean([0.0]) > 0


def test_scenarios_are_named_by_patterns_or_by_the_metrics() -> None:
    assert CHALLENGE.scenario("ethics_justice - EM (Robustness)") == "ethics"
    assert CHALLENGE.scenario("MATH (chain-of-thoughts) - Equivalent") == "MATH"
    assert CHALLENGE.scenario("BBQ") == "BBQ"
    rules = Rules({"all": ["m*"]}, hidden=["all"], lower=["*loss*"])
    assert (rules.scenario("mmlu - acc"), rules.is_lower_better("Eval LOSS")) == ("all", True)


# ---- files ----------------------------------------------------------------------------------


def read(tmp_path: Path, text: str) -> ScoreTable:
    path = tmp_path / "table.txt"
    path.write_text(text, encoding="utf-8")
    table = ScoreTable()
    read_file(path, table)
    return table


EXPECTED = {"x": {"A - EM": 0.5, "B": None}, "y": {"A - EM": 0.25, "B": 1.0}}


@pytest.mark.parametrize(
    "text",
    [
        "team,A - EM,B\nx,0.5,\ny,0.25,1\n",
        "\ufeffteam,A - EM,B\r\nx,.5,n/a\r\n\r\ny,25e-2,1\r\n",
        '{"x": {"A - EM": 0.5, "B": null}, "y": {"A - EM": 0.25, "B": 1}}',
        '[["x", {"A - EM": 0.5, "B": null}], ["y", {"A - EM": 0.25, "B": 1}]]',
        '[{"team": "x", "A - EM": 0.5, "B": "-"}, {"model": "y", "A - EM": "0.25", "B": 1}]',
    ],
)
def test_every_layout_gives_the_same_table(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text).values == EXPECTED


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("team,A\nx,good\n", 'table.txt:2, column `A`: a number was expected, got "good"'),
        ("team,A\nx,inf\n", "a finite number was expected"),
        ("team,A\nx,1,2\n", "table.txt:2: 3 cells; the header has 2"),
        ("team,A,A\nx,1,2\n", "the column `A` is there twice"),
        ("team,A\nx,1\nx,2\n", "table.txt:3: the team `x` is there twice"),
        ("team,A\n,1\n", "the team's name is missing"),
        ("team,A\n", "has no scores"),
        ("", "has no scores"),
        ('team,A\nx,"1\n', "table.txt:"),
        ('{"x": 1}', "entry 1 is not a team with metrics"),
        ('[["x"]]', "entry 1 is not a team with metrics"),
        ('{"x": {"A": true}}', "`A` of `x`: a number was expected"),
        ('{"x": {"A": [1]}}', "a number was expected, got [1]"),
        ('{"x": {"A": 1}, "x": {"A": 2}}', "listed twice"),
        ('{"x": ', "table.txt:1: not JSON"),
        ("[" * 100000, "not JSON"),
    ],
)
def test_what_is_no_table_is_refused_with_its_place(
    tmp_path: Path, text: str, expected: str
) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, text)
    assert expected in str(caught.value)


def test_tables_are_joined_by_team_and_may_not_contradict(tmp_path: Path) -> None:
    table = read(tmp_path, "team,A\nx,1\ny,2\n")
    (tmp_path / "more.csv").write_text("team,B\ny,3\n")
    read_file(tmp_path / "more.csv", table)
    assert table.values == {"x": {"A": 1.0}, "y": {"A": 2.0, "B": 3.0}}
    assert rank(table.values)[0].team == "y"
    (tmp_path / "other.csv").write_text("team,A\nx,9\n")
    with pytest.raises(InputError, match=r"`x` has `A` twice: 1\.0 and 9\.0"):
        read_file(tmp_path / "other.csv", table)


def test_a_published_figure_that_differs_is_found(tmp_path: Path) -> None:
    text = "team,A - EM,A Mean Win Rate,Score_full,Score_hidden\nx,1,0.5,0.6,\ny,0,0,0.1,0.2\n"
    table = read(tmp_path, text)
    differ = table.disagreeing(rank(table.values))
    assert [(team, name) for team, name, *_ in differ] == [
        ("x", "Score_full"), ("y", "Score_full"), ("y", "Score_hidden"),
    ]  # fmt: skip


def test_runs_stand_in_a_table_by_the_means_of_their_scores(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    rows = [row(n, "q", "a") for n in range(4)]
    table = ScoreTable()
    for name, right in {"one": 1, "other": 3}.items():
        adapter = [scored(n, "a", n < right) for n in range(4)]
        choices = [{"id": str(n), "prompt": "", "references": [], "prediction": "", "acc": 0.5,
                    "group": "mmlu"}
                   for n in range(2)]  # fmt: skip
        steps = {
            "evaluate/generate/base": adapter,
            "evaluate/generate/adapter": adapter,
            "evaluate/choices/adapter": choices,
        }
        read_run(open_run(write_run(store, name, rows, steps)), table)
    assert table.values == {
        "one": {"generate - exact_match": 0.25, "mmlu - acc": 0.5},
        "other": {"generate - exact_match": 0.75, "mmlu - acc": 0.5},
    }
