"""`recipe plugins`: what is installed, and each plugin's parameters with an example that works."""

from __future__ import annotations

import json
from typing import Any

import pytest

from khichdi.cli.main import main
from khichdi.compiler.bind import step_models
from khichdi.plugins.kinds import KINDS
from khichdi.plugins.registry import load_registry
from khichdi.project.plugin_description import describe

REGISTRY = load_registry()


def asked(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    assert main(["plugins", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_list_has_kind_name_version_distribution_and_a_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = asked(capsys)
    assert {entry["kind"] for entry in found} == set(KINDS)
    (lora,) = [entry for entry in found if entry["name"] == "lora"]
    assert lora["version"] == 1
    assert lora["distribution"].startswith("khichdi ")
    assert lora["summary"]
    assert {entry["kind"] for entry in asked(capsys, "filter")} == {"filter"}


@pytest.mark.parametrize("entry", list(REGISTRY), ids=lambda e: f"{e.plugin.kind}-{e.plugin.name}")
def test_every_plugin_shows_its_parameters_and_an_example_that_validates(entry: Any) -> None:
    plugin = entry.plugin
    shown = describe(REGISTRY, entry)
    names = {parameter["name"] for parameter in shown["parameters"]}
    assert names >= set(plugin.params_model.model_fields)
    for parameter in shown["parameters"]:
        assert parameter["takes"]
        assert parameter["description"]
        assert parameter["required"] or "default" in parameter
    model = step_models(REGISTRY)[plugin.kind][plugin.name]
    model.model_validate_json(json.dumps(shown["example"]), strict=True)


def test_the_text_says_types_defaults_meanings_and_where_a_step_stands(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["plugins", "show", "max-words"]) == 0
    text = capsys.readouterr().out
    assert "integer, at least 1; required" in text
    assert "default [instruction, input]" in text
    assert "Keep rows with fewer words than this." in text
    assert "filters: [{use: max-words, below: 800}]" in text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["show", "alpaca"], "write `reader/alpaca` or `template/alpaca`"),
        (["show", "max-wrds"], "did you mean `max-words`"),
        (["show", "filter/max-wrds"], "did you mean `max-words`"),
        (["show"], "`recipe plugins` lists them"),
        (["fliter"], "did you mean `filter`"),
        (["filter", "max-words"], "did you mean `show max-words`"),
    ],
)
def test_a_name_that_is_not_there_is_an_error(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plugins", *words]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("words", [["template/alpaca"], ["alpaca", "--kind", "template"]])
def test_a_name_of_two_kinds_is_told_apart(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert asked(capsys, "show", *words)["kind"] == "template"
