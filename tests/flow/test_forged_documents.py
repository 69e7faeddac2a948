"""Documents and recipes that were forged and sealed again, by what the forger wanted."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from forgery import reseal, rewrite, step

from khichdi.schema.digest import file_sha256

from .forging import MODES, Ran, recipe, relock
from .test_audit import audit, run_of


def test_an_evil_training_beside_the_honest_one(own_run: Ran) -> None:
    def insert(record: Any) -> None:
        record["steps"].insert(0, json.loads(json.dumps(step(record, "train"))))

    reseal(run_of(own_run), "record.json", insert)
    for mode in MODES:
        status, found = recipe(own_run[0], "audit", run_of(own_run).name, *mode)
        assert status == 2
        assert "the name 'train' is listed twice" in found["error"]["message"]


def test_a_run_whose_plan_nobody_can_execute(own_run: Ran) -> None:
    (run_of(own_run) / "plan.json").unlink()
    for mode in MODES:
        found = audit(own_run[0], *mode, status=1)
        assert found["where"] == "plan: plan.json"


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda text: text.replace("1.0e-3", "2.0e-3"), "field train.learning_rate"),
        (lambda text: text + "]]\n", "the recipe's text"),
        (lambda text: "extends: house-defaults.yaml\n" + text, "the recipe's text"),
    ],
    ids=["with another learning rate", "that does not parse", "that extends a file not shown"],
)
def test_a_recipe_shown_that_is_not_the_one_that_ran(
    own_run: Ran, change: Callable[[str], str], where: str
) -> None:
    path = run_of(own_run) / "recipe" / "pico.yaml"
    path.write_text(change(path.read_text()))
    sha = file_sha256(path)
    rewrite(run_of(own_run), "record.json", lambda record: record["files"][0].update(sha256=sha))
    assert audit(own_run[0], status=1)["where"] == f"recipe: {where}"


def test_a_base_that_is_said_to_come_from_elsewhere(own_run: Ran) -> None:
    def rename(plan: Any) -> None:
        step(plan, "base")["plugin"]["params"]["folder"] = "mistralai/Mistral-7B-v0.1"

    rewrite(run_of(own_run), "plan.json", rename)
    assert audit(own_run[0], status=1)["where"] == "recipe: step base, origin, params.folder"


def test_a_recipe_that_is_said_to_let_bits_differ(own_run: Ran) -> None:
    change = {"varies_by": "determinism: fast"}
    rewrite(run_of(own_run), "plan.json", lambda plan: plan.update(change))
    assert audit(own_run[0], status=1)["where"] == "recipe: varies by"


def test_pins_that_are_said_to_come_from_another_kind_of_source(own_run: Ran) -> None:
    def claim(document: Any) -> None:
        materials = document.get("materials") or {
            one["name"]: one["material"] for one in document["steps"]
        }
        materials["base"]["use"] = "huggingface"

    rewrite(run_of(own_run), "plan.json", claim)
    relock(run_of(own_run), claim)
    assert audit(own_run[0], status=1)["where"] == "base weights: step base, pins, use"


def test_data_that_is_said_to_have_been_trained_on(own_run: Ran) -> None:
    def claim(lock: Any) -> None:
        lock["materials"]["data/licensed/source"] = lock["materials"]["base"]

    relock(run_of(own_run), claim)
    where = "sources: lock, material data/licensed/source, of no step"
    assert audit(own_run[0], status=1)["where"] == where


def test_a_file_beside_the_recipe_that_no_document_names(own_run: Ran) -> None:
    (run_of(own_run) / "recipe" / "sitecustomize.py").write_text("")
    assert audit(own_run[0], status=1)["where"] == "recipe: file recipe/sitecustomize.py"
