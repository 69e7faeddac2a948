"""The core names no shipped plugin, and treats those of third parties alike."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bound import write
from pydantic import Field

from khichdi.compiler.bind import bind
from khichdi.compiler.checks.recipe_checks import check
from khichdi.compiler.estimate.architectures import known_architecture
from khichdi.compiler.estimate.devices import DEVICES
from khichdi.compiler.estimate.estimator import estimate
from khichdi.compiler.load import Loaded, load
from khichdi.compiler.lower import lower
from khichdi.plugins import (
    Account,
    Breach,
    Filter,
    Params,
    Pin,
    Runtime,
    Sampler,
    Schedule,
    Source,
    TrainingJob,
    TrainingResult,
    Work,
    Workload,
    hookimpl,
)
from khichdi.plugins.registry import load_registry
from khichdi.project.bundled_recipes import open_recipe
from khichdi.runtime.calibration.cpu_kernels import settings
from khichdi.runtime.calibration.forgeries import changed_step
from khichdi.schema.device import Device
from khichdi.schema.errors import InputError
from khichdi.schema.estimate import Memory
from khichdi.schema.recipe import Recipe

ROOT = Path(__file__).parents[2]
REGISTRY = load_registry()

# ---- names ------------------------------------------------------------------------------------

PARTS = ("schema", "plugins", "compiler", "runtime", "project", "cli")
ALLOWED = {
    "plugins/builtin/": "the plugins themselves",
    "plugins/starter/": "examples for authors, who see them beside the shipped plugins",
    "plugins/testing/": "the kit gives a plugin shipped ones of the other kinds to work with",
    "compiler/importers/": "translates the words of other tools into those of shipped plugins",
    "compiler/config_exporters/": "translates shipped plugins into the words of other tools",
    "compiler/foreign_terms/": "answers the words of other tools",
    "project/board/guard.py:http": "a kind of request",
    "project/board/recipe_pages.py:jsonl": "the text of a new recipe",
    "project/first_recipe/": "writes recipes of shipped plugins",
    "project/extras.py": "names of extras and of what they bring",
    "runtime/calibration/lowrank.py": "reads peft's adapter_config.json",
    "plugins/kinds/runtime.py:alpaca": "the template of a runtime's example",
    "plugins/toolkit/expert_weights.py:quant_type": "bitsandbytes' own argument",
    "plugins/toolkit/model_loading.py:attn_implementation": "transformers' own argument",
    "plugins/toolkit/http_download.py:http": "a scheme of addresses",
    "plugins/toolkit/patterns.py:ignore_case": "an option of every regular expression",
    "runtime/bundle/data_check.py:batch_size": "pyarrow's own argument",
    "runtime/steps/pack.py:on_bad_row": "a parameter that the kind itself gives a meaning",
    "runtime/calibration/statistics.py:learning_rate": "a key of every training's trace",
    "runtime/report/compare_page.py:learning_rate": "a key of every training's trace",
    "runtime/report/training.py:learning_rate": "a key of every training's trace",
}
"""Where names of plugins and parameters may stand, and why."""
WORDS = frozenset({
    "all", "at_least", "bitsandbytes", "categories", "chat", "files", "generate", "gguf", "git",
    "json", "languages", "licenses", "lower-case", "max_new_tokens", "merged", "none", "random",
    "render", "replace", "slice", "strip", "text", "truncate", "where",
})  # fmt: skip
"""Names that are words of the language, of Python or of distributions too."""


def shipped_names() -> frozenset[str]:
    """Return the names of plugins, and of parameters that are no ordinary word."""
    found = set()
    for entry in REGISTRY:
        if entry.distribution.name != "khichdi":
            continue
        plugin = entry.plugin
        found |= {plugin.name, *(p for p in plugin.params_model.model_fields if "_" in p)}
    return frozenset(found - WORDS)


def named_in(tree: ast.Module, names: frozenset[str]) -> Iterator[tuple[int, str]]:
    """Yield names in attributes, keywords and strings, but for docstrings and bare texts."""
    bare = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        found: set[str] = set()
        if isinstance(node, ast.Attribute):
            found = {node.attr}
        elif isinstance(node, ast.keyword) and node.arg:
            found = {node.arg}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if id(node) in bare:
                continue
            text = node.value
            found = {text, *re.findall(r"(?:`|\buse: )([a-z][a-z0-9_-]*)", text)}
            found |= set(re.findall(r"\b[a-z]+(?:[_-][a-z0-9]+)+\b", text))
        line = getattr(node, "lineno", 0)
        yield from ((line, name) for name in sorted(found & names))


def test_no_module_of_the_core_names_a_shipped_plugin() -> None:
    names, wrong, used = shipped_names(), [], set()
    for file in (f for part in PARTS for f in sorted((ROOT / part).rglob("*.py"))):
        place = file.relative_to(ROOT).as_posix()
        for line, name in named_in(ast.parse(file.read_text()), names):
            keys = [k for k in ALLOWED if f"{place}:{name}" == k or place.startswith(k)]
            used |= set(keys)
            if not keys:
                wrong.append(f"{place}:{line}: {name}")
    assert wrong == []
    assert used == ALLOWED.keys(), "an exception that nothing needs"


@pytest.mark.parametrize(
    "text", ['use == "max-words"', "train.micro_batch_size", "f(num_epochs=1)", 'x("`qlora`")']
)
def test_the_scan_sees_a_name(text: str) -> None:
    assert list(named_in(ast.parse(text), shipped_names()))


def test_the_scan_passes_documentation() -> None:
    text = '"""Such as `max-words`."""\nX = 1\n"""A `qlora`."""'
    assert list(named_in(ast.parse(text), shipped_names())) == []


# ---- third parties ------------------------------------------------------------------------------

PARTS_OF_MEMORY = {
    "weights": 7, "embeddings": 0, "unpacked": 0, "adapter": 0, "gradients": 0, "optimizer": 0,
    "activations": 1, "logits": 0, "workspace": 0,
}  # fmt: skip


class TheirParams(Params):
    """Parameters by names of their own."""

    passes: int = Field(2, ge=1, description="Passes over all packs.")
    speed: float = Field(1.0, gt=0, description="How fast it learns.")
    sloppy: bool = Field(False, description="Whether bits may differ.")


class Theirs(Runtime[TheirParams]):
    """Train in a way of its own."""

    name = "theirs"

    def varies_by(self) -> str | None:
        return "sloppy: true" if self.params.sloppy else None

    def schedule(self) -> Schedule:
        return Schedule(accumulation=4, epochs=self.params.passes, counts={"late": 10**6})

    def account(self, workload: Workload) -> Account:
        return Account(Memory(**PARTS_OF_MEMORY), workload.architecture.layers, 3.0, 11, 13)

    def seconds(self, workload: Workload, device: Device, work: Work) -> float:
        return work.tokens / 1000

    def contradictions(self, sample_packing: bool, validation: bool) -> list[Breach]:
        return [Breach("too sloppy", ("sloppy",))] if self.params.sloppy else []

    def with_learning_rate(self, factor: float) -> dict[str, Any]:
        return {"speed": factor * self.params.speed}

    def rounded_otherwise(self, gpu: bool) -> list[dict[str, dict[str, Any]]]:
        return [{"sloppily": {"sloppy": True}}]

    def train(self, job: TrainingJob) -> TrainingResult:
        raise NotImplementedError


class Silent(Runtime[Params]):
    """Train, and say nothing of it before."""

    name = "silent"

    def train(self, job: TrainingJob) -> TrainingResult:
        raise NotImplementedError


class FirstParams(Params):
    """How many."""

    most: int = Field(100, ge=1, description="Rows to keep.")


class First(Sampler[FirstParams]):
    """Keep the first rows."""

    name = "first"

    def asked(self) -> int:
        return self.params.most

    def select(self, table: Any, draw: Any) -> range:
        return range(min(self.params.most, table.num_rows))


class Mirrored(Source[Params]):
    """Bring a known base from elsewhere."""

    name = "mirrored"

    def title(self) -> str:
        return "mistralai/Mistral-7B-v0.1"

    def pin(self, folder: Path) -> Pin:
        raise NotImplementedError

    def fetch(self, pin: Pin, folder: Path, into: Path) -> None:
        raise NotImplementedError


class Never(Filter[Params]):
    """Keep nothing after another."""

    name = "never"

    def contradicts(self, earlier: Any, data_sets: Any) -> Breach | None:
        return Breach(f"nothing of {data_sets[0]} is left", hint="no") if earlier else None

    def reasons(self, batch: Any) -> list[str]:
        return ["never"] * batch.num_rows


class Module:
    """A third party's module."""

    @hookimpl
    def khichdi_runtimes(self) -> list[Any]:
        return [Theirs, Silent]

    @hookimpl
    def khichdi_samplers(self) -> list[Any]:
        return [First]

    @hookimpl
    def khichdi_sources(self) -> list[Any]:
        return [Mirrored]

    @hookimpl
    def khichdi_filters(self) -> list[Any]:
        return [Never]


WITH_THEIRS = load_registry([Module()])


def loaded_and_bound(folder: Path, runtime: str, **parts: str) -> tuple[Loaded, Recipe]:
    path = write(folder, base="{use: mirrored}", sample="{use: first}", **parts)
    path.write_text(path.read_text().replace("use: qlora", f"use: {runtime}"))
    loaded = load(path.name, folder, open_recipe)
    return loaded, bind(loaded, WITH_THEIRS)


def test_a_third_partys_runtime_and_sampler_are_estimated(tmp_path: Path) -> None:
    _, recipe = loaded_and_bound(tmp_path, "theirs")
    architecture = known_architecture(recipe, WITH_THEIRS)
    found = estimate(recipe, WITH_THEIRS, architecture, DEVICES["h100"])
    assert (found.data["one"].rows, found.data["one"].basis) == (100, "at most")
    assert found.rows == 0  # as many are held out
    path = write(tmp_path, base="{use: mirrored}", sample="{use: first, most: 5100}")
    path.write_text(path.read_text().replace("use: qlora", "use: theirs"))
    recipe = bind(load(path.name, tmp_path, open_recipe), WITH_THEIRS)
    found = estimate(recipe, WITH_THEIRS, architecture, DEVICES["h100"])
    assert found.packs is not None
    assert found.steps == 2 * -(-found.packs // 4)
    assert (found.gpu_memory_bytes, found.stored_layers, found.flops_per_token) == (8, 32, 3.0)
    assert found.seconds == pytest.approx(2 * 5000 * 200 / 1000, rel=0.01)
    assert found.disk is not None
    assert (found.disk.checkpoints, found.disk.states) == (11, 13)


def test_a_runtime_that_says_nothing_leaves_unknown_what_it_could_say(tmp_path: Path) -> None:
    _, recipe = loaded_and_bound(tmp_path, "silent")
    found = estimate(recipe, WITH_THEIRS, known_architecture(recipe, WITH_THEIRS), DEVICES["h100"])
    assert (found.steps, found.seconds, found.memory) == (None, None, None)
    assert found.trained is not None  # the adapter tells
    assert set(found.unknown) == {
        "memory and time: there is no account of runtime `silent`",
        "steps: runtime `silent` does not tell how long it trains",
    }


def test_a_third_partys_plugins_are_checked(tmp_path: Path) -> None:
    loaded, recipe = loaded_and_bound(tmp_path, "theirs", train="sloppy: true")
    messages = [d.message for d in check(recipe, loaded, WITH_THEIRS)]
    assert "100 validation rows asked of a mixture of at most 100" in messages
    assert "too sloppy" in messages
    path = tmp_path / "tested.yaml"
    path.write_text(path.read_text().replace(
        "    license: mit", "    license: mit\n    filters: [{use: never}, {use: never}]"
    ))  # fmt: skip
    loaded = load(path.name, tmp_path, open_recipe)
    messages = [d.message for d in check(bind(loaded, WITH_THEIRS), loaded, WITH_THEIRS)]
    assert "nothing of one is left" in messages


def test_a_third_partys_plan_names_its_base_and_says_whether_it_repeats(tmp_path: Path) -> None:
    for train, repeats in (("speed: 2.0", True), ("sloppy: true", False)):
        plan = lower(loaded_and_bound(tmp_path, "theirs", train=train)[1], WITH_THEIRS, None)
        assert plan.repeats is repeats
        assert plan.step("train").settings["base_name"] == "mistralai/Mistral-7B-v0.1"


def test_a_third_partys_runtime_is_calibrated(tmp_path: Path) -> None:
    plan = lower(loaded_and_bound(tmp_path, "theirs")[1], WITH_THEIRS, None)
    step = plan.step("train")
    other = changed_step("learning rate x 1.1", 0, step, 9, WITH_THEIRS)
    assert other.plugin.params["speed"] == pytest.approx(1.1)
    assert any("sloppily" in one.name for one in settings("H100", Theirs(TheirParams())))
    with pytest.raises(InputError, match="runtime `theirs` has no parameters for the control"):
        changed_step("an epoch less", 0, step, 9, WITH_THEIRS)
