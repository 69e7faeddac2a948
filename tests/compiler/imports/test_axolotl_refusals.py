"""Keys of axolotl that no recipe can have are reported, and files that are not our job refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from axolotl_files import SMALL
from imports import imported

from khichdi.compiler.validate import validate
from khichdi.plugins.registry import load_registry
from khichdi.schema.errors import InputError, RecipeError


def test_a_default_that_a_recipe_cannot_say_is_reported() -> None:
    report = imported(SMALL.replace("    type: alpaca\n", ""), "axolotl").report
    assert not report.complete
    assert [default.key for default in report.defaults if not default.ours] == ["datasets[0].type"]


@pytest.mark.parametrize(
    ("line", "todo"),
    [
        ("lora_rr: 16", "did you mean `lora_r`?"),
        ("squence_len: 4096", "did you mean `sequence_len`?"),
        ("lora_model_dir: ./old", "scratch"),
        ("float16: true", "bfloat16"),
        ("tokens: [<tool>]", "trainable_token_indices: added"),
        ("unfrozen_parameters: [lm_head]", "use LoRA"),
        ("default_system_message: Hi", "train.template.system"),
        ("early_stopping_patience: 3\nval_set_size: 0.1", "metric_for_best_model"),
        ("optimizer: lion_pytorch", "paged_adamw_32bit"),
        ("lr_scheduler: rex", "cosine"),
        ("num_epochs: 1.5", "max_steps"),
        ("learning_rates: fast", "did you mean `learning_rate`?"),
        ("micro_batch_size: two", "correct the value"),
    ],
)
def test_what_is_not_mapped_is_told_with_its_place_and_what_to_do(line: str, todo: str) -> None:
    word = line.split(":")[0]
    done = imported(SMALL + line + "\n", "axolotl")
    (entry,) = done.report.not_mapped
    assert entry.key[0] == word
    assert entry.mark.line == len(SMALL.splitlines()) + 1
    assert todo in entry.todo
    assert f"Not mapped: {word}" in " ".join(done.text.replace("\n# ", " ").split())
    assert not done.report.complete


@pytest.mark.parametrize(
    "line",
    ["wandb_entity: mine", "use_wandb: false",
     "deepspeed: zero3.json", "fsdp: [full_shard]", "lora_fan_in_fan_out: true",
     "use_kernels: true", "nonsense:", "do_causal_lm_eval: true",
     "logging_steps: 1", "output_dir: ./out", "hub_model_id: me/mine",
     "group_by_length: false", "tf32: true", "deepspeed:", "fsdp_config: {}", "strict: false",
     "pad_to_sequence_len: true", "eval_steps: 20", "early_stopping_patience:"],
)  # fmt: skip
def test_what_does_nothing_here_is_told_and_is_no_fault(line: str) -> None:
    report = imported(SMALL + line + "\n", "axolotl").report
    assert [entry.key[0] for entry in report.inert] == [line.split(":")[0]]
    assert report.complete


def test_anchors_are_refused_with_our_sentence() -> None:
    with pytest.raises(RecipeError, match="anchors and aliases") as caught:
        imported(SMALL + "a: &x 1\nb: *x\n", "axolotl")
    assert caught.value.diagnostics[0].line == len(SMALL.splitlines()) + 1


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "empty"), ("- 1\n", "mapping"), ("recipe: 1\n", "recipe already"),
     ("adapter: lora\n", "base_model"), ("base_model: a/b\n", "datasets"),
     ("base_model: a/b\ndatasets: []\n", "datasets"),
     ("base_model: a/b\nadapter: lora\ndatasets: [{type: alpaca}]\n", "path")],
)  # fmt: skip
def test_a_file_that_says_too_little_is_refused(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        imported(text, "axolotl")


@pytest.mark.parametrize("base", ['"{{ model }}"', "${BASE_MODEL}", "<your-model>"])
def test_a_placeholder_is_not_a_folder(base: str) -> None:
    report = imported(SMALL.replace("meta-llama/Llama-2-7b-hf", base), "axolotl").report
    assert [entry.key for entry in report.not_mapped] == [("base_model",)]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("rl: grpo", "trains by grpo"),
        ("reward_model: true", "reward model"),
        ("processor_type: AutoProcessor", "pictures or sound"),
        ("pretraining_dataset: a/b", "plain text"),
        ("adapter: llama-adapter", "of the kind llama-adapter"),
        ("plugins: [axolotl.integrations.diffusion.DiffusionPlugin]", "DiffusionPlugin"),
    ],
)
def test_what_a_recipe_cannot_be_is_refused_with_the_one_reason(lines: str, said: str) -> None:
    config = SMALL.replace("adapter: qlora\n", "") if lines.startswith("adapter") else SMALL
    with pytest.raises(InputError, match=said) as caught:
        imported(config + lines + "\n", "axolotl")
    assert caught.value.line == len(config.splitlines()) + 1
    assert "--skeleton" in str(caught.value)
    done = imported(config + lines + "\n", "axolotl", skeleton=True)
    assert not done.report.complete
    with pytest.raises(RecipeError, match="still to be decided"):
        validate("x", Path(), lambda *_: (Path("x"), done.text.encode()), load_registry())


def test_every_weight_is_refused_too() -> None:
    with pytest.raises(InputError, match="every weight"):
        imported(SMALL.replace("adapter: qlora\n", ""), "axolotl")


def test_another_tools_configuration_is_recognized() -> None:
    with pytest.raises(InputError, match="of axolotl, not of TRL") as caught:
        imported(SMALL, "trl")
    assert caught.value.hint == "`recipe import axolotl config.yml`"


@pytest.mark.parametrize(
    ("adapter", "four", "lost"),
    [("qlora", "true", []), ("qlora", "false", ["adapter"]), ("lora", "true", ["load_in_4bit"])],
)
def test_four_bits_go_with_qlora(adapter: str, four: str, lost: list[str]) -> None:
    config = SMALL.replace("load_in_4bit: true", f"load_in_4bit: {four}")
    report = imported(config.replace("adapter: qlora", f"adapter: {adapter}"), "axolotl").report
    assert [entry.key[0] for entry in report.not_mapped] == lost


@pytest.mark.parametrize(
    ("base", "lost"),
    [
        ("a/b-bnb-nf4", []),
        ("a/b-FP8", []),
        ("a/b-AWQ", ["base_model"]),
        ("a/b-NVFP4", ["base_model"]),
    ],
)
def test_bases_that_are_quantized_already(base: str, lost: list[str]) -> None:
    report = imported(SMALL.replace("meta-llama/Llama-2-7b-hf", base), "axolotl").report
    assert [entry.key[0] for entry in report.not_mapped] == lost
