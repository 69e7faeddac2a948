"""Recipes become configurations of other tools, and import again to the same recipe."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from imports import REGISTRY, imported

from khichdi.compiler.config_exporters import EXPORTERS, Exported, export_config
from khichdi.compiler.validate import validate
from khichdi.project.bundled_recipes import open_recipe
from khichdi.schema.errors import InputError
from khichdi.schema.yaml_reader import parse

FOLDER = os.environ.get("KHICHDI_TEST_CONFIGS")
SHIPPED = ("ziggurat-llama-2-13b-01", "ziggurat-llama-2-13b-02", "ziggurat-llama-2-7b-03",
           "ziggurat-mistral-01", "ziggurat-mistral-02", "ziggurat-mistral-03")  # fmt: skip
OPERATIONAL = ("save_steps", "saves_per_epoch", "save_total_limit", "dataloader_num_workers",
               "report_to", "logging_dir", "activation_offloading")  # fmt: skip
BASE = """\
recipe: 1
name: r
model:
  base: {use: huggingface, repo: a/b}
  quantization: {use: bitsandbytes, bits: 4, double_quant: true}
  adapter: {use: lora, r: 8, target_modules: [q_proj, v_proj]}
data:
  chats:
    source: {use: huggingface, repo: c/chats, repo_type: dataset, split: train}
    read: {use: conversations, field: messages, unanswered: trim}
train:
  use: qlora
  template: {use: chat}
  sequence_len: 2048
"""


def bound(text: str) -> dict[str, Any]:
    def read(name: str, folder: Path) -> tuple[Path, bytes]:
        return Path("r.yaml"), text.encode()

    return validate("r.yaml", Path(), read, REGISTRY).recipe.to_json()


def changed(*changes: tuple[str, str]) -> dict[str, Any]:
    text = BASE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return bound(text)


def meaning(recipe: dict[str, Any]) -> dict[str, Any]:
    """Return what changes a training, and not what it is called."""
    train = {key: value for key, value in recipe["train"].items() if key not in OPERATIONAL}
    # `auto` is `flash` where there is such a kernel, and without one both are the same.
    train["attn_implementation"] = train["attn_implementation"].replace("auto", "flash")
    model = {key: value for key, value in recipe["model"].items() if key != "license"}
    notes = ("license", "expect")
    data = [{k: v for k, v in one.items() if k not in notes} for one in recipe["data"].values()]
    same = {key: recipe[key] for key in ("seed", "mixture")}
    return same | {"train": train, "model": model, "data": data}


def config(done: Exported) -> dict[str, Any]:
    found: dict[str, Any] = parse(done.text.encode(), "config.yml").data
    return found


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_recipe_comes_back_from_axolotl(name: str) -> None:
    recipe = validate(name, Path(), open_recipe, REGISTRY).recipe.to_json()
    done = export_config(recipe, "axolotl")
    assert done.complete
    back = imported(done.text, "axolotl")
    assert back.report.complete
    assert meaning(bound(back.text)) == meaning(recipe)


@pytest.mark.parametrize("tool", EXPORTERS)
@pytest.mark.parametrize(
    "changes",
    [
        [],
        [("target_modules: [q_proj, v_proj]", "target_modules: all-linear, use_rslora: true")],
        [("bits: 4, double_quant: true", "bits: 8")],
        [("r: 8", "r: 8, modules_to_save: [lm_head], target_parameters: [experts.down_proj]")],
        [("use: bitsandbytes, bits: 4, double_quant: true", "use: none")],
        [("template: {use: chat}", "template: {use: chat, learn: all}")],
        [("sequence_len: 2048", "sequence_len: 512\n  warmup_ratio: 0.1")],
        [("sequence_len: 2048", "sequence_len: 512\n  warmup_steps: 4\n  max_steps: 40")],
        [("sequence_len: 2048", "sequence_len: 512\n  lr_scheduler: constant\n  warmup_steps: 3")],
        [("split: train}", "split: train}\n    sample: {use: slice, rows: ':20%'}")],
        [("adapter: {", "tokens: {eos_token: <e>}\n  adapter: {")],
        [("sequence_len: 2048", "sequence_len: 9\n  optimizer: paged_adamw_8bit\n  num_epochs: 3")],
        [("sequence_len: 2048", "sequence_len: 9\n  lr_scheduler: cosine_with_min_lr\n"
          "  lr_scheduler_kwargs: {min_lr_rate: 0.1}")],
        [("repo: a/b", "repo: a/b, revision: v1"), ("r: 8", "r: 8, alpha: 7, dropout: 0.1")],
    ],
    ids=str,
)  # fmt: skip
def test_a_recipe_comes_back_the_same(tool: str, changes: list[tuple[str, str]]) -> None:
    recipe = changed(*changes)
    done = export_config(recipe, tool)
    assert done.complete, done.not_mapped
    back = imported(done.text, tool)
    assert back.report.complete, back.report.not_mapped
    assert meaning(bound(back.text)) == meaning(recipe)


@pytest.mark.parametrize(
    "lines",
    [
        "eval_steps: 5",
        "evals_per_epoch: 4",
        "evals_per_epoch: 4\n  metric_for_best_model: null",
        "eval_steps: 0.1\n  early_stopping_patience: 2",
        "loss_watchdog_threshold: 5\n  loss_watchdog_patience: 2",
        "loraplus_lr_ratio: 16",
        "overlong: drop",
        "overlong: error",
    ],
)
def test_evaluations_and_lengths_come_back_from_axolotl(lines: str) -> None:
    text = f"sequence_len: 2048\n  {lines}\nmixture: {{validation: {{count: 10}}}}"
    recipe = changed(("sequence_len: 2048", text))
    done = export_config(recipe, "axolotl")
    assert done.complete, done.not_mapped
    back = imported(done.text, "axolotl")
    assert meaning(bound(back.text)) == meaning(recipe)


def test_added_tokens_come_back_from_axolotl() -> None:
    tables = "r: 8, modules_to_save: [embed_tokens, lm_head]"
    tokens = "tokens: {eos_token: <e>, add: [<t>], add_special: [<e>, <u>]}\n  adapter: {"
    recipe = changed(("r: 8", tables), ("adapter: {", tokens))
    done = export_config(recipe, "axolotl")
    assert done.complete, done.not_mapped
    assert "additional_special_tokens" in done.text
    assert meaning(bound(imported(done.text, "axolotl").text)) == meaning(recipe)


@pytest.mark.parametrize(
    ("tool", "changes", "lost"),
    [
        ("axolotl", [("split: train}", "split: train}\n    filters: [{use: max-words, below: 9}]")],
         "data.chats.filters[0]"),
        ("axolotl", [("split: train}", "split: train}\n    sample: {use: random, count: 9}")],
         "data.chats.sample.use"),
        ("axolotl", [("bits: 4", "bits: 4, quant_type: fp4")], "model.quantization.quant_type"),
        ("axolotl", [("2048", "2048\n  warmup_steps: 1")], "train.warmup_steps"),
        ("axolotl", [("2048", "2048\n  max_hours: 3")], "train.max_hours"),
        ("axolotl", [("{use: lora, r: 8, target_modules: [q_proj, v_proj]}", "{use: vera}")],
         "model.adapter"),
        ("trl", [("2048", "2048\n  overlong: drop")], "train.overlong"),
        ("trl", [("{use: chat}", "{use: alpaca}")], "train.template.use"),
        ("trl", [("2048", "2048\nmixture: {validation: {count: 9}}")], "mixture.validation.count"),
    ],
)  # fmt: skip
def test_what_the_tool_cannot_say_is_reported(
    tool: str, changes: list[tuple[str, str]], lost: str
) -> None:
    done = export_config(changed(*changes), tool)
    assert lost in {entry.path for entry in done.not_mapped}
    assert f"# Not mapped: {lost}" in done.text


@pytest.mark.parametrize("tool", EXPORTERS)
def test_every_value_is_in_one_list(tool: str) -> None:
    def count(value: Any) -> int:
        if isinstance(value, dict) and value:
            return sum(map(count, value.values()))
        steps = isinstance(value, list) and any(isinstance(one, dict) for one in value)
        return sum(map(count, value)) if steps else 1

    recipe = changed()
    done = export_config(recipe, tool)
    entries = [*done.mapped, *done.inert, *done.not_mapped]
    paths = [entry.path for entry in entries]
    assert len(paths) == len(set(paths))
    assert sum(count(entry.value) for entry in entries) == count(recipe)


def test_a_warm_up_is_rounded_as_here() -> None:
    recipe = changed(("2048", "2048\n  warmup_ratio: 0.1\n  max_steps: 41"))
    assert config(export_config(recipe, "axolotl"))["warmup_steps"] == 5


def test_several_data_sets_are_a_list_for_trl() -> None:
    more = "  more:\n    source: {use: huggingface, repo: d/e, repo_type: dataset, split: test}\n"
    more += "    read: {use: conversations, field: messages, unanswered: trim}\ntrain:\n"
    done = export_config(changed(("train:\n", more)), "trl")
    paths = [one["path"] for one in config(done)["datasets"]]
    assert paths == ["c/chats", "d/e"]


@pytest.mark.skipif(not FOLDER, reason="KHICHDI_TEST_CONFIGS names no folder")
def test_real_configurations_come_back_from_axolotl() -> None:
    tried = equal = 0
    for file in sorted(Path(FOLDER or "", "axolotl").glob("*.y*ml")):
        try:
            recipe = bound(imported(file.read_text(encoding="utf-8"), "axolotl").text)
        except InputError:
            continue
        done = export_config(recipe, "axolotl")
        tried += 1
        if done.complete:
            back = imported(done.text, "axolotl")
            assert back.report.complete, (file, back.report.not_mapped)
            assert meaning(bound(back.text)) == meaning(recipe), file
            equal += 1
    assert equal >= 105
    assert tried - equal <= 5
