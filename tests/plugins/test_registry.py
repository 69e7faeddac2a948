"""The door for plugins: strict, explicit, ordered, and the same for everybody."""

from __future__ import annotations

import types
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pytest
from pydantic import ConfigDict, Field, model_validator

from khichdi import plugins
from khichdi.plugins import Filter, Params, hookimpl
from khichdi.plugins.hookspecs import GROUP
from khichdi.plugins.kinds import KINDS
from khichdi.plugins.registry import _chosen, load_registry
from khichdi.schema.errors import RegistryError


class KeepAllParams(Params):
    share: float = Field(1.0, description="Unused.")


class KeepAll(Filter[KeepAllParams]):
    """Keep every row."""

    name = "keep-all"

    def reasons(self, batch: Any) -> list[str | None]:
        return [None] * batch.num_rows


def stranger(*classes: Any, hook: str = "khichdi_filters", name: str = "stranger") -> Any:
    module = types.ModuleType(name)

    def implementation() -> list[Any]:
        return list(classes)

    implementation.__name__ = hook
    setattr(module, hook, hookimpl(implementation))
    return module


def test_a_stranger_comes_in_by_the_same_door() -> None:
    registry = load_registry(extra=[stranger(KeepAll)])
    assert registry.get("filter", "keep-all").distribution.name == "stranger"
    assert registry.create("filter", "keep-all", {"share": 0.5}).params.share == 0.5


def test_built_ins_come_from_the_entry_point() -> None:
    values = {point.name: point.value for point in entry_points(group=GROUP)}
    assert values["builtin"] == "khichdi.plugins.builtin"
    registry = load_registry()
    assert {entry.distribution.name for entry in registry} >= {"khichdi"}


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (None, ["acme", "builtin", "other"]),
        ("none", ["builtin"]),
        ("acme", ["acme", "builtin"]),
        ("acme, other", ["acme", "builtin", "other"]),
    ],
)
def test_the_environment_limits_which_plugins_are_loaded(
    monkeypatch: pytest.MonkeyPatch, wanted: str | None, expected: list[str]
) -> None:
    if wanted is None:
        monkeypatch.delenv("KHICHDI_PLUGINS", raising=False)
    else:
        monkeypatch.setenv("KHICHDI_PLUGINS", wanted)
    points = [EntryPoint(name, "somewhere", GROUP) for name in ("other", "builtin", "acme")]
    assert [point.name for point in _chosen(points)] == expected


def test_every_kind_has_a_plugin_that_ships() -> None:
    registry = load_registry()
    assert all(registry.names(kind) for kind in KINDS)


def test_order_of_registration_does_not_show() -> None:
    class Another(KeepAll):
        """Keep every row too."""

        name = "another"

    one = load_registry(extra=[stranger(KeepAll, name="a"), stranger(Another, name="b")])
    other = load_registry(extra=[stranger(Another, name="b"), stranger(KeepAll, name="a")])
    assert [e.plugin.name for e in one] == [e.plugin.name for e in other]


def class_with(**changes: Any) -> Any:
    return type("Wrong", (KeepAll,), {"__doc__": "Keep every row.", "name": "wrong", **changes})


class OpenParams(Params):
    model_config = ConfigDict(extra="allow")


class BareParams(Params):
    share: float = 1.0


class UseParams(Params):
    use: str = Field("x", description="A word of the language.")


class EagerParams(Params):
    @model_validator(mode="before")
    @classmethod
    def _first(cls, given: Any) -> Any:
        return given


class Unfinished(Filter[KeepAllParams]):
    """Never says why."""

    name = "unfinished"


FAULTS: dict[str, tuple[Callable[[], Any], str]] = {
    "not a class": (lambda: "keep-all", "returns subclasses of Filter"),
    "another kind": (lambda: KINDS["reader"], "returns subclasses of Filter"),
    "abstract": (lambda: Unfinished, "neither `reason` nor `reasons`"),
    "bad name": (lambda: class_with(name="Keep_All"), "lower-case words joined by dashes"),
    "no name": (lambda: class_with(name=""), "lower-case words"),
    "version zero": (lambda: class_with(version=0), "at least 1"),
    "version true": (lambda: class_with(version=True), "at least 1"),
    "open parameters": (lambda: class_with(params_model=OpenParams), "must stay closed"),
    "no description": (lambda: class_with(params_model=BareParams), "has no description"),
    "a reserved word": (lambda: class_with(params_model=UseParams), "word of the recipe language"),
    "runs before": (lambda: class_with(params_model=EagerParams), "must be of mode 'after'"),
    "no docstring": (lambda: class_with(__doc__=""), "docstring"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_breaks_the_contract_is_refused_with_its_place(fault: str) -> None:
    make, expected = FAULTS[fault]
    with pytest.raises(RegistryError, match=expected) as caught:
        load_registry(extra=[stranger(make())])
    assert "stranger" in str(caught.value)


def test_a_name_that_is_taken_names_both_origins() -> None:
    twice = [stranger(KeepAll, name="one"), stranger(KeepAll, name="two")]
    with pytest.raises(RegistryError, match=r"two filter plugins.*keep-all.*one.*two"):
        load_registry(extra=twice)


def test_a_misspelt_hook_is_an_error() -> None:
    with pytest.raises(RegistryError, match="khichdi_filtres"):
        load_registry(extra=[stranger(KeepAll, hook="khichdi_filtres")])


def test_an_unknown_name_suggests_the_near_one() -> None:
    with pytest.raises(RegistryError, match="no filter named `max-word`") as caught:
        load_registry().get("filter", "max-word")
    assert "did you mean `max-words`" in str(caught.value)


def test_what_the_api_exports_is_exact() -> None:
    public = {
        name
        for name, value in vars(plugins).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    assert public == set(plugins.__all__)
    assert sorted(plugins.__all__) == list(plugins.__all__)


def test_a_step_of_a_stranger_has_errors_with_places_like_ours(tmp_path: Any) -> None:
    from pathlib import Path

    from khichdi.compiler.compile import compile_recipe
    from khichdi.project.bundled_recipes import open_recipe
    from khichdi.schema.errors import RecipeError

    recipe = tmp_path / "mine.yaml"
    recipe.write_text(
        "extends: quickstart\nrecipe: 1\ndata:\n  tasks:\n    filters:\n"
        "      - {use: keep-all, shaer: 0.5}\n"
    )
    registry = load_registry(extra=[stranger(KeepAll)])
    with pytest.raises(RecipeError, match=r"mine\.yaml:6:25: unknown parameter `shaer`"):
        compile_recipe("mine.yaml", Path(tmp_path), open_recipe, registry)
