"""LLaMA-Factory's configurations become recipes that do the same."""

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
stage: sft
do_train: true
finetuning_type: lora
lora_rank: 16
lora_target: all
quantization_bit: 4
dataset: own,alpaca_en
template: llama3
cutoff_len: 1024
val_size: 0.1
per_device_train_batch_size: 1
gradient_accumulation_steps: 8
learning_rate: 1.0e-4
num_train_epochs: 3.0
lr_scheduler_type: cosine
warmup_steps: 10
bf16: true
eval_strategy: steps
eval_steps: 500
output_dir: saves/x
plot_loss: true
"""
INFO = {
    "own": {"file_name": "own.json", "columns": {"prompt": "question", "response": "answer"}},
    "alpaca_en": {"hf_hub_url": "yahma/alpaca-cleaned"},
    "talks": {
        "hf_hub_url": "a/talks",
        "subset": "small",
        "formatting": "sharegpt",
        "columns": {"messages": "talk"},
    },
}


def recipe_of(text: str, tmp_path: Path) -> tuple[dict[str, Any], Any]:
    done = imported(text, "llama-factory", data_sets=INFO)
    (tmp_path / "imported.yaml").write_text(done.text, encoding="utf-8")
    recipe = validate("imported.yaml", tmp_path, open_recipe, load_registry()).recipe
    return recipe.to_json(), done.report


def test_a_configuration_and_its_data_sets(tmp_path: Path) -> None:
    recipe, report = recipe_of(SMALL, tmp_path)
    assert report.complete, report.not_mapped
    adapter = recipe["model"]["adapter"]
    assert (adapter["r"], adapter["alpha"], adapter["target_modules"]) == (16, 32, "all-linear")
    quantization = recipe["model"]["quantization"]
    assert (quantization["bits"], quantization["double_quant"]) == (4, True)
    assert recipe["data"]["own"]["source"]["folder"] == "data"
    columns = {"instruction": "question", "output": "answer"}
    assert recipe["data"]["own"]["read"]["columns"] == columns
    assert recipe["data"]["alpaca_en"]["source"]["repo"] == "yahma/alpaca-cleaned"
    assert recipe["mixture"]["validation"]["fraction"] == 0.1
    train = recipe["train"]
    assert train["template"]["use"] == "chat"
    assert train["sequence_len"] == 1024
    assert (train["num_epochs"], train["eval_steps"]) == (3, 500)
    assert train["metric_for_best_model"] is None


def test_what_it_does_where_nothing_is_said_is_written_out(tmp_path: Path) -> None:
    text = "model_name_or_path: a/b\ndataset: alpaca_en\ntemplate: llama3\n"
    recipe, report = recipe_of(text, tmp_path)
    assert report.complete
    train = recipe["train"]
    found = {key: train[key] for key in ("learning_rate", "lr_scheduler", "micro_batch_size",
             "num_epochs", "sample_packing", "gradient_checkpointing")}  # fmt: skip
    assert found == {
        "learning_rate": 5e-5,
        "lr_scheduler": "linear",
        "micro_batch_size": 8,
        "num_epochs": 3,
        "sample_packing": False,
        "gradient_checkpointing": True,
    }
    assert recipe["seed"] == 42
    assert (recipe["model"]["adapter"]["r"], recipe["model"]["adapter"]["alpha"]) == (8, 16)


def test_conversations_of_a_configuration_on_the_hub(tmp_path: Path) -> None:
    recipe, _ = recipe_of(SMALL.replace("own,alpaca_en", "talks"), tmp_path)
    assert recipe["data"]["talks"]["read"]["field"] == "talk"
    assert recipe["data"]["talks"]["source"]["config"] == "small"


def test_alpaca_puts_the_input_below_the_instruction_as_theirs_does(tmp_path: Path) -> None:
    recipe, report = recipe_of(SMALL.replace("llama3", "alpaca"), tmp_path)
    assert report.complete
    assert [step["use"] for step in recipe["data"]["own"]["filters"]] == ["render", "strip"]
    assert recipe["train"]["template"].items() >= {"use": "alpaca", "preamble": True}.items()


def test_every_template_joins_instruction_and_input_as_theirs_does(tmp_path: Path) -> None:
    recipe, _ = recipe_of(SMALL, tmp_path)
    assert recipe["train"]["template"]["use"] == "chat"
    render, strip = recipe["data"]["alpaca_en"]["filters"]
    assert (render["instruction"], strip["use"]) == ("{instruction}\n{input}", "strip")


@pytest.mark.parametrize(
    ("more", "unread"),
    [({"columns": {"tools": "tools"}}, "columns.tools"),
     ({"num_samples": 100}, "num_samples"), ({"folder": "en"}, "folder"),
     ({"tags": {"role_tag": "r"}}, "tags.role_tag"), ({"tags": {"role_tag": "role"}}, None)],
)  # fmt: skip
def test_no_key_of_a_description_is_dropped_in_silence(
    more: dict[str, Any], unread: str | None
) -> None:
    info = {"own": {"file_name": "own.json", "formatting": "sharegpt"} | more}
    text = SMALL.replace("own,alpaca_en", "own")
    report = imported(text, "llama-factory", data_sets=info).report
    assert report.complete is (unread is None)
    assert [unread in entry.would for entry in report.not_mapped] == [True] * bool(unread)


@pytest.mark.parametrize(
    "base", ["TechxGenus/Meta-Llama-3-8B-Instruct-AWQ", "a/b-AQLM", "x/Llama-GPTQ-Int4"]
)
def test_weights_that_are_quantized_already_are_not_passed_off_as_others(base: str) -> None:
    text = SMALL.replace("mistralai/Mistral-7B-v0.1", base)
    (entry,) = imported(text, "llama-factory", data_sets=INFO).report.not_mapped
    assert entry.key == ("model_name_or_path",)
    assert "quantized already" in entry.would


def test_a_data_set_without_a_description_is_told() -> None:
    report = imported(SMALL, "llama-factory").report
    (entry,) = report.not_mapped
    assert entry.key == ("dataset",)
    assert "--dataset-info" in entry.todo


@pytest.mark.parametrize(
    ("line", "todo"),
    [
        ("lora_rnak: 8", "did you mean `lora_rank`?"),
        ("interleave_probs: 0.5,0.5", "mixture.weights"),
        ("adapter_name_or_path: old", "scratch"),
        ("mix_strategy: interleave_under", "interleave"),
        ("quantization_method: hqq", "bitsandbytes"),
    ],
)
def test_what_is_not_mapped_is_told(line: str, todo: str) -> None:
    base = SMALL.replace("warmup_steps: 10\n", "")
    report = imported(base + line + "\n", "llama-factory", data_sets=INFO).report
    (entry,) = report.not_mapped
    assert entry.key == (line.split(":")[0],)
    assert entry.mark.line == len(base.splitlines()) + 1
    assert todo in entry.todo


MORE = """\
dataset_dir: data
max_samples: 100
packing: true
neat_packing: true
flash_attn: fa2
disable_gradient_checkpointing: true
ddp_timeout: 180000000
deepspeed: {a: {b: 1}}
nonsense: [{x: 1}, 2]
"""


@pytest.mark.parametrize("text", [SMALL, SMALL + MORE])
def test_the_three_lists_together_are_exactly_the_keys_of_the_file(text: str) -> None:
    report = imported(text, "llama-factory", data_sets=INFO).report
    told = listed(report)
    assert sorted(told) == sorted(set(told)), "a key is in two lists"
    assert sorted(told) == sorted(leaves(text))


def test_samples_are_limited_in_every_data_set(tmp_path: Path) -> None:
    recipe, _ = recipe_of(SMALL + "max_samples: 10000\n", tmp_path)
    assert {data["sample"]["rows"] for data in recipe["data"].values()} == {":10000"}


@pytest.mark.parametrize(
    ("text", "said"),
    [("stage: sft\n", "model_name_or_path"), ("model_name_or_path: a/b\n", "dataset")],
)
def test_a_file_that_says_too_little_is_refused(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        imported(text, "llama-factory")


@pytest.mark.parametrize(
    ("line", "learn"), [("mask_history: true", "last"), ("train_on_prompt: true", "all")]
)
def test_which_text_is_trained_on(line: str, learn: str, tmp_path: Path) -> None:
    recipe, report = recipe_of(SMALL + line + "\n", tmp_path)
    assert recipe["train"]["template"]["learn"] == learn
    assert report.complete


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("stage: dpo", "trains by dpo"),
        ("stage: pt", "plain text"),
        ("finetuning_type: full", "every weight"),
        ("finetuning_type: freeze", "some layers"),
    ],
)
def test_what_a_recipe_cannot_be_is_refused(line: str, said: str) -> None:
    key = line.split(":")[0]
    text = "".join(x for x in SMALL.splitlines(True) if not x.startswith(key)) + line + "\n"
    with pytest.raises(InputError, match=said):
        imported(text, "llama-factory", data_sets=INFO)
    assert not imported(text, "llama-factory", data_sets=INFO, skeleton=True).report.complete


def test_pictures_are_refused() -> None:
    info = {"own": {"file_name": "own.json", "columns": {"images": "images"}}}
    with pytest.raises(InputError, match="pictures"):
        imported(SMALL.replace("own,alpaca_en", "own"), "llama-factory", data_sets=info)


def test_a_file_for_merging_trains_nothing() -> None:
    with pytest.raises(InputError, match="trains nothing"):
        imported("model_name_or_path: a/b\ntemplate: llama3\nexport_dir: out\n", "llama-factory")


@pytest.mark.parametrize(
    ("name", "has"),
    [("qwen", "You are Qwen"), ("qwen3", "<think>"), ("qwen3_nothink", "<|im_start|>"),
     ("chatml", "<|im_end|>"), ("llama3", "<|eot_id|>")],
)  # fmt: skip
def test_a_template_is_the_format_of_theirs(name: str, has: str, tmp_path: Path) -> None:
    recipe, report = recipe_of(SMALL.replace("template: llama3", f"template: {name}"), tmp_path)
    template = recipe["train"]["template"]
    assert has in f"{template['jinja']}{template['system']}"
    assert report.complete


@pytest.mark.parametrize("name", ["my_totally_custom_template", "mistral", "deepseek"])
def test_a_template_that_is_not_known_is_left_to_be_decided(name: str) -> None:
    text = SMALL.replace("template: llama3", f"template: {name}")
    done = imported(text, "llama-factory", data_sets=INFO)
    assert [entry.key for entry in done.report.not_mapped] == [("template",)]
    assert "TODO" in done.text


def test_files_are_found_where_their_descriptions_are(tmp_path: Path) -> None:
    done = imported(SMALL, "llama-factory", data_sets=INFO, folder="../there/data")
    assert "folder: ../there/data" in done.text


NEW = """\
model: Qwen/Qwen3-4B
model_class: llm
peft_config: {name: lora, r: 16, lora_alpha: 32, lora_dropout: 0.05, target_modules: all}
quant_config: {name: bnb, quantization_bit: 4}
dist_config: {name: fsdp2, dcp_path: null}
train_dataset: data/v1_sft_demo.yaml
output_dir: ./outputs/x
micro_batch_size: 2
global_batch_size: 8
cutoff_len: 1024
learning_rate: 1.0e-4
max_steps: 10
"""


def test_the_new_format_is_read_but_for_its_data() -> None:
    done = imported(NEW, "llama-factory")
    assert [entry.key for entry in done.report.not_mapped] == [("train_dataset",)]
    for line in ("use: TODO", "double_quant: true", "gradient_accumulation_steps: 4",
                 "lr_scheduler: constant", "target_modules: all-linear"):  # fmt: skip
        assert line in done.text
    assert sorted(listed(done.report)) == sorted(leaves(NEW))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (("name: lora", "name: freeze"), "method freeze"),
        (("v1_sft_demo", "v1_dpo_demo"), "preferences"),
        (("peft_config", "peft_other"), "every weight"),
    ],
)
def test_what_a_recipe_cannot_be_is_refused_in_the_new_format_too(
    changed: tuple[str, str], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        imported(NEW.replace(*changed), "llama-factory")


def test_added_tokens_have_their_tables_trained_in_full(tmp_path: Path) -> None:
    lines = "add_tokens: <a>,<b>\nadd_special_tokens: <c>\nresize_vocab: true\n"
    recipe, report = recipe_of(SMALL + lines, tmp_path)
    tokens = recipe["model"]["tokens"]
    assert (tokens["add"], tokens["add_special"]) == (["<a>", "<b>"], ["<c>"])
    assert recipe["model"]["adapter"]["modules_to_save"] == ["embed_tokens", "lm_head"]
    assert report.complete


def test_modules_that_are_trained_whole(tmp_path: Path) -> None:
    recipe, report = recipe_of(SMALL + "additional_target: embed_tokens,lm_head\n", tmp_path)
    assert recipe["model"]["adapter"]["modules_to_save"] == ["embed_tokens", "lm_head"]
    assert report.complete
