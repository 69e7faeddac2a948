"""TRL's configurations become recipes that do the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from imports import imported, leaves, listed

from khichdi.compiler.validate import validate
from khichdi.plugins.registry import load_registry
from khichdi.project.bundled_recipes import open_recipe
from khichdi.schema.errors import InputError

SMALL = """\
model_name_or_path: mistralai/Mistral-7B-v0.1
torch_dtype: bfloat16
attn_implementation: flash_attention_2
use_peft: true
lora_r: 32
lora_alpha: 64
load_in_4bit: true
bnb_4bit_quant_type: nf4
use_bnb_nested_quant: true
dataset_name: someone/chats
dataset_train_split: train_sft
assistant_only_loss: true
max_length: 4096
packing: true
learning_rate: 1.0e-5
max_steps: 200
warmup_ratio: 0.1
lr_scheduler_type: cosine
per_device_train_batch_size: 2
report_to: [wandb]
hub_model_id: me/mine
"""


def recipe_of(text: str, tmp_path: Path) -> tuple[dict[str, Any], Any]:
    done = imported(text, "trl")
    (tmp_path / "imported.yaml").write_text(done.text, encoding="utf-8")
    recipe = validate("imported.yaml", tmp_path, open_recipe, load_registry()).recipe
    return recipe.to_json(), done.report


def test_a_configuration(tmp_path: Path) -> None:
    recipe, report = recipe_of(SMALL, tmp_path)
    assert report.complete, report.not_mapped
    model, train = recipe["model"], recipe["train"]
    assert model["quantization"]["compute_dtype"] == "bfloat16"
    assert model["quantization"]["double_quant"] is True
    # What peft chooses by itself for Mistral, and TRL's own dropout.
    assert model["adapter"]["target_modules"] == ["q_proj", "v_proj"]
    assert model["adapter"]["dropout"] == 0.05
    assert recipe["data"]["chats"]["source"]["split"] == "train_sft"
    assert recipe["data"]["chats"]["read"]["field"] == "messages"
    assert (train["sequence_len"], train["sample_packing"]) == (4096, True)
    assert (train["max_steps"], train["warmup_ratio"]) == (200, 0.1)
    assert train["gradient_checkpointing"] is True
    assert train["report_to"] == ["wandb"]
    assert train["attn_implementation"] == "flash"


def test_learning_prompts_too_is_not_passed_off_as_ours() -> None:
    report = imported(SMALL.replace("assistant_only_loss: true\n", ""), "trl").report
    assert [d.key for d in report.defaults if not d.ours] == ["assistant_only_loss"]


@pytest.mark.parametrize(
    ("line", "todo"),
    [
        ("max_lenght: 100", "did you mean `max_length`?"),
        ("packing_strategy: bfd_split", "sequence_len"),
        ("dataset_text_field: text", "answers"),
        ("loss_type: dft", "leave it out"),
    ],
)
def test_what_is_not_mapped_is_told(line: str, todo: str) -> None:
    (entry,) = imported(SMALL + line + "\n", "trl").report.not_mapped
    assert entry.key == (line.split(":")[0],)
    assert todo in entry.todo


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (SMALL.replace("use_peft: true", "use_peft: false"), "every weight"),
        (SMALL + "reward_funcs: [accuracy]\n", "rewards"),
        (SMALL + "loss_type: sigmoid\n", "sigmoid"),
        (SMALL + "beta: 0.1\n", "preferences"),
    ],
)
def test_what_a_recipe_cannot_be_is_refused(config: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        imported(config, "trl")
    assert not imported(config, "trl", skeleton=True).report.complete


LISTED = """\
datasets:
  - path: a/chats
    name: small
    split: train_sft
    columns: [messages]
  - path: b/pairs
    columns: [prompt, completion]
"""
MIXTURE = """\
dataset_mixture:
  datasets:
    - {id: a/chats, config: Mid, split: one, columns: [messages], weight: 0.5}
    - {id: a/chats, config: Mid, split: two, columns: [messages], weight: 1.0}
  seed: 0
  test_split_size: 0.1
"""
MIXER = """\
dataset_mixer:
  a/chats: 1.0
  b/talks: 0.25
dataset_splits: [train_sft, test_sft]
"""


def of(data: str) -> str:
    lines = [line for line in SMALL.splitlines(True) if not line.startswith("dataset_")]
    return "".join(lines) + data


def test_a_list_of_data_sets(tmp_path: Path) -> None:
    recipe, report = recipe_of(of(LISTED), tmp_path)
    source = recipe["data"]["chats"]["source"]
    assert (source["repo"], source["config"], source["split"]) == ("a/chats", "small", "train_sft")
    assert recipe["data"]["pairs"]["read"]["columns"]["output"] == "completion"
    assert recipe["data"]["pairs"]["source"]["split"] == "train"
    assert report.complete


def test_a_mixture_of_the_handbook(tmp_path: Path) -> None:
    recipe, report = recipe_of(of(MIXTURE), tmp_path)
    assert recipe["data"]["chats"]["sample"]["fraction"] == 0.5
    assert recipe["data"]["chats-2"]["source"]["split"] == "two"
    assert recipe["data"]["chats-2"]["sample"] == {"use": "all"}
    assert recipe["mixture"]["validation"]["fraction"] == 0.1
    assert report.complete


def test_a_mixer_of_the_handbook(tmp_path: Path) -> None:
    recipe, report = recipe_of(of(MIXER), tmp_path)
    assert {d["source"]["split"] for d in recipe["data"].values()} == {"train_sft"}
    assert recipe["data"]["talks"]["sample"]["fraction"] == 0.25
    assert report.complete


def test_whole_conversations_are_learned_unless_it_is_told_otherwise(tmp_path: Path) -> None:
    data = "datasets: [{path: a/chats, columns: [messages]}]\n"
    text = of(data).replace("assistant_only_loss: true\n", "")
    recipe, report = recipe_of(text, tmp_path)
    assert recipe["train"]["template"]["learn"] == "all"
    assert report.complete


def test_no_data_at_all_is_refused() -> None:
    with pytest.raises(InputError, match="dataset_name"):
        imported(of(""), "trl")


@pytest.mark.parametrize("more", ["", "model_init_kwargs: {a: {b: [1]}}\nfoo: [{c: 1}]\nseed: 1\n"])
def test_the_three_lists_together_are_exactly_the_keys_of_the_file(more: str) -> None:
    told = listed(imported(SMALL + more, "trl").report)
    assert sorted(told) == sorted(set(told)), "a key is in two lists"
    assert sorted(told) == sorted(leaves(SMALL + more))


def test_another_end_of_turn_is_a_token_of_the_tokenizer(tmp_path: Path) -> None:
    recipe, report = recipe_of(SMALL + "eos_token: <|im_end|>\n", tmp_path)
    assert recipe["model"]["tokens"]["eos_token"] == "<|im_end|>"
    assert report.complete
