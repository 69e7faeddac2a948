"""axolotl's configurations become recipes that do the same, and no key is dropped in silence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from axolotl_files import SMALL, axolotl
from imports import imported, leaves, listed

from khichdi.compiler.validate import validate
from khichdi.plugins.registry import load_registry
from khichdi.project.bundled_recipes import open_recipe

ZIGGURAT = sorted((Path(__file__).parent / "ziggurat").glob("*.yml"))


def test_all_six_are_there() -> None:
    assert len(ZIGGURAT) == 6


@pytest.mark.parametrize("config", ZIGGURAT, ids=lambda path: path.stem)
def test_a_ziggurat_configuration_imports_to_the_recipe_that_ships(
    config: Path, tmp_path: Path
) -> None:
    theirs, report = axolotl(config.read_text(), tmp_path)
    name = f"ziggurat-{config.stem.lower()}"
    recipe = validate(name, tmp_path, open_recipe, load_registry()).recipe
    ours = recipe.to_json()
    assert ours.pop("name") == name
    assert ours.pop("description")
    assert theirs.pop("name").endswith("-open-otter")
    assert theirs.pop("description") is None
    # What the data set should give is said by the recipe's author.
    assert theirs["data"]["open-otter"].get("expect") is None
    assert ours["data"]["open-otter"].pop("expect")
    # The shipped recipe runs without an account of the tracker.
    assert (theirs["train"].pop("report_to"), ours["train"].pop("report_to")) == (["wandb"], [])
    assert theirs.keys() == ours.keys()
    for section in ours:
        assert theirs[section] == ours[section], section
    assert report.complete


def test_every_linear_layer_is_added_to_the_listed_ones_and_the_recipe_says_so() -> None:
    text = (Path(__file__).parent / "ziggurat" / "Mistral-02.yml").read_text()
    lines = imported(text, "axolotl").text.splitlines()
    place = lines.index("    target_modules: all-linear")
    said = "axolotl adds every linear layer to the listed gate_proj, down_proj, up_proj"
    assert lines[place - 1].strip() == f"# {said}"


def test_listed_modules_alone_stay_as_they_are(tmp_path: Path) -> None:
    config = SMALL.replace("lora_target_linear: true", "lora_target_modules: [gate_proj, up_proj]")
    recipe, report = axolotl(config, tmp_path)
    assert recipe["model"]["adapter"]["target_modules"] == ["gate_proj", "up_proj"]
    assert report.complete


@pytest.mark.parametrize(
    ("word", "value", "path", "ours"),
    [
        ("noisy_embedding_alpha", "5", "train.neftune_noise_alpha", 5),
        ("neftune_noise_alpha", "5.0", "train.neftune_noise_alpha", 5),
        ("flash_attention", "true", "train.attn_implementation", "flash"),
        ("sdp_attention", "true", "train.attn_implementation", "sdpa"),
        ("gradient_checkpointing", "true", "train.gradient_checkpointing", True),
        ("max_grad_norm", "0.3", "train.max_grad_norm", 0.3),
        ("adam_beta2", "0.95", "train.adam_beta2", 0.95),
        ("num_epochs", "3", "train.num_epochs", 3),
        ("val_set_size", "0.05", "mixture.validation.fraction", 0.05),
        ("val_set_size", "2000", "mixture.validation.count", 2000),
        ("optimizer", "adamw_torch_fused", "train.optimizer", "adamw_torch"),
        ("optimizer", "adamw_torch_8bit", "train.optimizer", "adamw_torch_8bit"),
        ("optimizer", "adamw_torch_4bit", "train.optimizer", "adamw_torch_4bit"),
        ("lr_scheduler", "linear", "train.lr_scheduler", "linear"),
        ("seed", "57", "seed", 57),
        ("quantize_moe_experts", "true", "model.quantization.experts", True),
        ("save_steps", "50", "train.save_steps", 50),
        ("peft_use_rslora", "true", "model.adapter.use_rslora", True),
        ("train_on_inputs", "true", "train.template.learn", "all"),
        ("excess_length_strategy", "truncate", "train.overlong", "truncate"),
        ("excess_length_strategy", "raise", "train.overlong", "error"),
        ("cosine_min_lr_ratio", "0.1", "train.lr_scheduler_kwargs.min_lr_rate", 0.1),
        ("lr_scheduler", "polynomial", "train.lr_scheduler", "polynomial"),
        ("loraplus_lr_ratio", "16", "train.loraplus_lr_ratio", 16),
        ("loss_watchdog_threshold", "5.0", "train.loss_watchdog_threshold", 5),
        ("lora_modules_to_save", "[lm_head]", "model.adapter.modules_to_save", ["lm_head"]),
        ("saves_per_epoch", "2", "train.saves_per_epoch", 2),
        ("save_steps", "0.1", "train.save_steps", 0.1),
        ("batch_size", "12", "train.gradient_accumulation_steps", 12),
        ("model_revision", "abc", "model.base.revision", "abc"),
        ("use_wandb", "true", "train.report_to", ["wandb"]),
        ("wandb_project", "mine", "train.report_to", ["wandb"]),
        ("use_tensorboard", "true", "train.report_to", ["tensorboard"]),
        ("torch_compile", "true", "train.torch_compile", True),
        ("torch_compile", "auto", "train.torch_compile", True),
        ("liger_rms_norm", "true", "train.use_liger_kernel", True),
        ("liger_rope", "true", "train.use_liger_kernel", True),
    ],
)
def test_a_word_that_is_translated(
    word: str, value: str, path: str, ours: Any, tmp_path: Path
) -> None:
    recipe, report = axolotl(SMALL + f"{word}: {value}\n", tmp_path)
    found: Any = recipe
    for part in path.split("."):
        found = found[part]
    assert found == ours
    entry = next(entry for entry in report.mapped if entry.key == (word,))
    assert entry.ours[path] == ours
    assert entry.mark.line == len(SMALL.splitlines()) + 1
    assert report.complete


def test_what_axolotl_does_where_nothing_is_said_is_written_out(tmp_path: Path) -> None:
    recipe, report = axolotl(SMALL, tmp_path)
    assert recipe["seed"] == 42
    assert recipe["train"]["sequence_len"] == 512
    assert recipe["train"]["sample_packing"] is False
    assert recipe["train"]["template"].items() >= {"use": "alpaca", "preamble": True}.items()
    assert recipe["model"]["quantization"]["double_quant"] is True
    assert recipe["data"]["alpaca"]["source"]["split"] == "train"
    assert {default.key for default in report.defaults} >= {
        "seed",
        "sequence_len",
        "sample_packing",
    }


@pytest.mark.parametrize(
    ("lines", "ours"),
    [
        ("", {"warmup_ratio": 0.03}),
        ("max_steps: 1000\n", {"warmup_steps": 30}),
        ("max_steps: 90000\n", {"warmup_steps": 100}),
        ("warmup_ratio: 0.1\nmax_steps: 99\n", {"warmup_steps": 9}),
        ("warmup_steps: 1\n", {"warmup_steps": 2}),
        ("warmup_ratio: 0.1\n", {"warmup_ratio": 0.1}),
    ],
)
def test_warm_up_is_that_of_axolotl(lines: str, ours: dict[str, Any], tmp_path: Path) -> None:
    recipe, report = axolotl(SMALL.replace("warmup_steps: 10\n", "") + lines, tmp_path)
    assert recipe["train"].items() >= ours.items()
    assert report.complete


@pytest.mark.parametrize(
    ("lines", "ours"),
    [
        ("evals_per_epoch: 4\n", {"evals_per_epoch": 4}),
        ("evals_per_epoch: 1\n", {"eval_steps": None}),
        ("evals_per_epoch: 4\nmax_steps: 90\n", {"eval_steps": 23}),
        ("eval_steps: 0.05\n", {"eval_steps": 0.05}),
        ("eval_steps: 7\nevals_per_epoch: 4\n", {"eval_steps": 7}),
    ],
)
def test_how_often_is_evaluated(lines: str, ours: dict[str, Any], tmp_path: Path) -> None:
    recipe, report = axolotl(SMALL + "val_set_size: 0.1\n" + lines, tmp_path)
    assert recipe["train"].items() >= ours.items()
    assert report.complete


def test_the_best_weights_are_kept_only_where_axolotl_keeps_them(tmp_path: Path) -> None:
    config = SMALL + "val_set_size: 100\neval_steps: 20\nload_best_model_at_end: true\n"
    for saves, best in (("save_steps: 40\n", "eval_loss"), ("save_steps: 30\n", None), ("", None)):
        recipe, _ = axolotl(config + saves, tmp_path)
        assert recipe["train"]["metric_for_best_model"] == best, saves


EVERYTHING = (
    SMALL
    + """\
fsdp: [full_shard]
fsdp_config: {fsdp_offload_params: true, deep: {er: [1, {x: 2}]}}
special_tokens: {pad_token: "</s>", bos_token: <s>}
typo: {nested: 1, more: [1, 2]}
test_datasets:
  - {path: a/b, type: alpaca}
lr_scheduler_kwargs: {num_cycles: 2}
"""
)


@pytest.mark.parametrize(
    "text", [SMALL, EVERYTHING, *(path.read_text() for path in ZIGGURAT)]
)  # fmt: skip
def test_the_three_lists_together_are_exactly_the_keys_of_the_file(text: str) -> None:
    report = imported(text, "axolotl").report
    told = listed(report)
    assert sorted(told) == sorted(set(told)), "a key is in two lists"
    assert sorted(told) == sorted(leaves(text))


def test_the_loss_of_routers_is_trained_with(tmp_path: Path) -> None:
    recipe, report = axolotl(SMALL + "model_config: {output_router_logits: true}\n", tmp_path)
    assert recipe["train"]["output_router_logits"] is True
    assert report.complete


def test_float16_has_its_loss_scaled_and_a_shard_is_a_random_part(tmp_path: Path) -> None:
    kind = "type: alpaca\n    shards: 10"
    recipe, report = axolotl(SMALL.replace("type: alpaca", kind) + "fp16: true\n", tmp_path)
    assert recipe["model"]["quantization"]["compute_dtype"] == "float16"
    assert recipe["train"]["loss_scaling"] == "dynamic"
    assert recipe["data"]["alpaca"]["sample"]["fraction"] == 0.1
    assert report.complete


def test_activations_are_offloaded_where_they_are_recomputed(tmp_path: Path) -> None:
    config = SMALL + "activation_offloading: legacy\n"
    recipe, report = axolotl(config + "gradient_checkpointing: true\n", tmp_path)
    assert recipe["train"]["activation_offloading"] is True
    assert report.complete
    recipe, report = axolotl(config, tmp_path)
    assert recipe["train"]["activation_offloading"] is False
    assert report.complete


def test_liger_precedes_the_compiler_that_would_replace_the_same_parts(tmp_path: Path) -> None:
    recipe, report = axolotl(SMALL + "torch_compile: true\nliger_rope: true\n", tmp_path)
    assert (recipe["train"]["use_liger_kernel"], recipe["train"]["torch_compile"]) == (True, False)
    assert report.complete


@pytest.mark.parametrize(
    ("plugins", "complete"),
    [("axolotl.integrations.liger.LigerPlugin", True),
     ("axolotl.integrations.cut_cross_entropy.CutCrossEntropyPlugin", True),
     ("axolotl.integrations.grokfast.GrokfastPlugin", False)],
)  # fmt: skip
def test_integrations_that_only_add_switches_are_no_loss(plugins: str, complete: bool) -> None:
    report = imported(SMALL + f"plugins:\n  - {plugins}\n", "axolotl").report
    assert report.complete is complete


def test_patience_is_kept_where_the_best_weights_are() -> None:
    best = "val_set_size: 0.1\neval_steps: 5\nsave_steps: 5\nload_best_model_at_end: true\n"
    done = imported(SMALL + best + "early_stopping_patience: 3\n", "axolotl")
    assert not done.report.not_mapped
    assert "early_stopping_patience: 3" in done.text


def test_stopping_early_keeps_the_best_weights_where_saves_and_measures_are_in_step() -> None:
    config = SMALL + "val_set_size: 0.1\neval_steps: 5\nearly_stopping_patience: 3\n"
    done = imported(config + "save_steps: 10\n", "axolotl")
    assert done.report.complete
    assert "metric_for_best_model: null" not in done.text
    assert "early_stopping_patience: 3" in done.text
    assert not imported(config + "save_steps: 7\n", "axolotl").report.complete


def test_truth_values_of_yaml_1_1(tmp_path: Path) -> None:
    recipe, report = axolotl(SMALL.replace("load_in_4bit: true", "load_in_4bit: yes"), tmp_path)
    assert recipe["model"]["quantization"]["bits"] == 4
    assert report.complete


def test_like_lengths_go_together_where_nothing_is_packed() -> None:
    done = imported(SMALL + "group_by_length: true\n", "axolotl")
    assert not done.report.not_mapped
    assert "group_by_length: true" in done.text


def test_the_head_is_short_whatever_is_lost() -> None:
    lines = "".join(f"unknown_{n}: {'x' * 500}\n" for n in range(40))
    head = imported(SMALL + lines, "axolotl").text.split("\n\n")[0].splitlines()
    assert len(head) <= 15
    assert all(len(line) <= 100 for line in head)
    assert head[-1].startswith("# Not mapped: 34 more")


def test_keys_of_one_section_that_are_lost_are_one_line() -> None:
    text = imported(SMALL + "test_datasets: [{path: a, type: b, split: c}]\n", "axolotl").text
    assert text.count("Not mapped:") == 1
    assert "test_datasets[0] (3 keys)" in text


def test_the_recipe_is_called_by_base_and_data(tmp_path: Path) -> None:
    recipe, _ = axolotl(SMALL, tmp_path)
    assert recipe["name"] == "llama-2-7b-hf-alpaca"


def test_an_expression_chooses_modules_as_it_does_in_peft(tmp_path: Path) -> None:
    expression = r"model.layers.[\d]+.(mlp|self_attn).(up|down|o)_proj"
    config = SMALL.replace("lora_target_linear: true", f"lora_target_modules: '{expression}'")
    config = config.replace("meta-llama/Llama-2-7b-hf", "some/base")
    recipe, report = axolotl(config, tmp_path)
    assert recipe["model"]["adapter"]["target_modules"] == expression
    assert report.complete
