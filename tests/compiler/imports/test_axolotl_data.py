"""axolotl's data sets, chat formats, prompts and tokens become those of a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from axolotl_files import SMALL, axolotl
from imports import imported

from khichdi.compiler.validate import validate
from khichdi.plugins.registry import load_registry
from khichdi.schema.errors import RecipeError


def test_data_sets_of_their_own_fields_files_and_names(tmp_path: Path) -> None:
    config = SMALL.replace(
        "  - path: tatsu-lab/alpaca\n    type: alpaca\n",
        "  - {path: data/mine.jsonl, type: alpaca, ds_type: json}\n"
        "  - {path: json, data_files: other.json, type: gpteacher}\n"
        "  - {path: a/b, name: small, split: test, type: alpaca}\n"
        "  - {path: c/b, data_files: [x.json], revision: v1, type: alpaca, fild: x}\n",
    )
    recipe, report = axolotl(config, tmp_path)
    assert recipe["data"]["mine"]["source"]["folder"] == "data"
    assert recipe["data"]["mine"]["source"]["include"] == ["mine.jsonl"]
    assert recipe["data"]["other"]["read"]["columns"] == {"output": "response"}
    assert recipe["data"]["b"]["source"]["config"] == "small"
    assert recipe["data"]["b"]["source"]["split"] == "test"
    assert recipe["data"]["b-2"]["source"]["include"] == ["x.json"]
    assert recipe["data"]["b-2"]["source"]["revision"] == "v1"
    (entry,) = report.not_mapped
    assert entry.key == ("datasets", 3, "fild")
    assert "did you mean `field`?" in entry.todo


def test_chat_data_is_rendered_by_the_tokenizers_own_template(tmp_path: Path) -> None:
    config = SMALL.replace("type: alpaca", "type: chat_template\n    field_messages: talk")
    recipe, report = axolotl(config + "chat_template: tokenizer_default\n", tmp_path)
    assert recipe["train"]["template"]["use"] == "chat"
    assert recipe["data"]["alpaca"]["read"]["field"] == "talk"
    assert report.complete


TABLES = "lora_modules_to_save: [embed_tokens, lm_head]\n"


@pytest.mark.parametrize(
    ("lines", "tokens"),
    [
        ("special_tokens: {eos_token: <|e|>, pad_token: <p>}", {"eos_token": "<|e|>"}),
        (
            TABLES + "special_tokens: {bos_token: <s>, eos_token: <|e|>, unk_token: <unk>}\n"
            "tokens: [<|a|>, <|e|>]",
            {"bos_token": "<s>", "eos_token": "<|e|>", "unk_token": "<unk>", "add": ["<|a|>"],
             "add_special": ["<|e|>"]},
        ),
        (
            TABLES + "special_tokens: {additional_special_tokens: [<|a|>]}\ntokens: [' [/B]']",
            {"add": [" [/B]"], "add_special": ["<|a|>"]},
        ),
    ],
)  # fmt: skip
def test_tokens_are_set_and_added_as_axolotl_does(
    lines: str, tokens: dict[str, Any], tmp_path: Path
) -> None:
    config = SMALL.replace("meta-llama/Llama-2-7b-hf", "someone/own") + lines + "\n"
    recipe, report = axolotl(config, tmp_path)
    found = recipe["model"]["tokens"]
    assert {name: value for name, value in found.items() if value} == tokens
    assert report.complete


def test_tokens_that_axolotl_leaves_untrained_are_trained_and_said(tmp_path: Path) -> None:
    recipe, report = axolotl(SMALL + "tokens: [<tool>]\n", tmp_path)
    assert recipe["model"]["tokens"]["add"] == ["<tool>"]
    assert recipe["model"]["adapter"]["trainable_token_indices"] == "added"
    [lost] = report.not_mapped
    assert "untrained" in lost.would


@pytest.mark.parametrize(
    ("conversation", "start"),
    [("chatml", "{% for m in messages %}"), ("llama3", "{{ bos_token }}")],
)
def test_older_conversations_have_the_system_message_of_their_library(
    conversation: str, start: str, tmp_path: Path
) -> None:
    kind = f"type: sharegpt\n    conversation: {conversation}\n    field_human: user"
    config = SMALL.replace("type: alpaca", kind) + "chat_template: chatml\n"
    recipe, report = axolotl(config, tmp_path)
    template = recipe["train"]["template"]
    assert template["jinja"].startswith(start)
    assert template["system"] == "You are a helpful assistant."
    assert recipe["data"]["alpaca"]["read"]["field"] == "conversations"
    assert report.complete
    recipe, _ = axolotl(config + "default_system_message: Hi\n", tmp_path)
    assert recipe["train"]["template"]["system"] == (
        "Hi" if conversation == "chatml" else "You are a helpful assistant."
    )


def test_alpacas_chat_prompts_have_a_form_for_rows_without_an_input(tmp_path: Path) -> None:
    recipe, report = axolotl(SMALL.replace("type: alpaca", "type: alpaca:chat"), tmp_path)
    template = recipe["train"]["template"]
    assert template["prompt"].startswith("SYSTEM: Below is an instruction that describes a task, ")
    assert template["prompt"].endswith("\nUSER: {instruction}\n{input}\nASSISTANT:")
    assert template["prompt_without_input"].endswith("\nUSER: {instruction}\nASSISTANT:")
    assert report.complete


def test_a_system_message_is_left_out_where_axolotl_drops_it(tmp_path: Path) -> None:
    kind = "type: chat_template\n    drop_system_message: true"
    recipe, report = axolotl(SMALL.replace("type: alpaca", kind), tmp_path)
    assert recipe["data"]["alpaca"]["read"]["drop_system"] is True
    assert report.complete


def test_another_prompt_than_ours_is_not_passed_off_as_ours() -> None:
    report = imported(SMALL.replace("type: alpaca", "type: sharegpt"), "axolotl").report
    assert [entry.key for entry in report.not_mapped] == [("datasets", 0, "type")]


@pytest.mark.parametrize(("role", "complete"), [("from", True), ("role", True), ("who", False)])
def test_names_of_message_properties_that_the_reader_knows(role: str, complete: bool) -> None:
    names = f"{{role: {role}, content: value}}"
    kind = f"type: chat_template\n    message_property_mappings: {names}"
    report = imported(SMALL.replace("type: alpaca", kind), "axolotl").report
    assert report.complete is complete


def test_a_slice_of_a_split_is_a_sample(tmp_path: Path) -> None:
    config = SMALL.replace("type: alpaca", "type: alpaca\n    split: train[:20%]")
    recipe, report = axolotl(config, tmp_path)
    assert report.complete
    assert "datasets[0].split" not in {default.key for default in report.defaults}
    assert recipe["data"]["alpaca"]["source"]["split"] == "train"
    assert recipe["data"]["alpaca"]["sample"] == {"use": "slice", "rows": ":20%"}


def test_two_slices_together_are_left_to_be_decided() -> None:
    config = SMALL.replace("type: alpaca", "type: alpaca\n    split: train[:20%]+test")
    done = imported(config, "axolotl")
    assert [entry.key for entry in done.report.not_mapped] == [("datasets", 0, "split")]
    assert "use: TODO" in done.text
    with pytest.raises(RecipeError, match="still to be decided"):
        validate("x", Path(), lambda *_: (Path("x"), done.text.encode()), load_registry())


@pytest.mark.parametrize(
    ("base", "name", "template"),
    [
        ("meta-llama/Meta-Llama-3-8B-Instruct", "llama3", {"use": "chat"}),
        ("google/gemma-3-1b-it", "gemma3", {"use": "chat"}),
        ("Qwen/Qwen2.5-7B", "qwen_25", {"use": "chat"}),
    ],
)
def test_a_template_by_name_that_is_the_tokenizers_own(
    base: str, name: str, template: dict[str, Any], tmp_path: Path
) -> None:
    config = SMALL.replace("meta-llama/Llama-2-7b-hf", base).replace("alpaca\n", "chat_template\n")
    recipe, report = axolotl(config + f"chat_template: {name}\n", tmp_path)
    assert recipe["train"]["template"].items() >= template.items()
    assert recipe["train"]["template"]["jinja"] is None
    assert report.complete


def test_a_template_by_name_whose_format_is_known_is_written_out(tmp_path: Path) -> None:
    config = SMALL.replace("type: alpaca\n", "type: chat_template\n") + "chat_template: llama3\n"
    recipe, report = axolotl(config, tmp_path)
    assert "<|start_header_id|>" in recipe["train"]["template"]["jinja"]
    assert report.complete


def test_a_prompt_for_rows_without_an_input_is_axolotls_where_none_is_written(
    tmp_path: Path,
) -> None:
    kind = "type: {format: 'Q: {instruction} {input} A:'}"
    recipe, report = axolotl(SMALL.replace("type: alpaca", kind), tmp_path)
    template = recipe["train"]["template"]
    assert template["prompt"] == "Q: {instruction} {input} A:"
    assert template["prompt_without_input"] == "{instruction} "
    assert report.complete


def test_phis_prompts_are_written_out(tmp_path: Path) -> None:
    config = SMALL.replace("type: alpaca", "type: alpaca:phi").replace(
        "meta-llama/Llama-2-7b-hf", "microsoft/Phi-3-mini-4k-instruct"
    )
    recipe, report = axolotl(config + "resize_token_embeddings_to_32x: true\n", tmp_path)
    template = recipe["train"]["template"]
    assert template["prompt"].endswith("<|user|>\n{instruction}<|end|>{input}<|assistant|>")
    assert report.complete


@pytest.mark.parametrize("name", ["jamba", "my_own"])
def test_a_template_by_another_name_is_left_to_be_decided(name: str) -> None:
    config = SMALL.replace("type: alpaca\n", "type: chat_template\n") + f"chat_template: {name}\n"
    done = imported(config, "axolotl")
    assert [entry.key for entry in done.report.not_mapped] == [("chat_template",)]
    assert "template: # to be decided" in done.text.replace("\n    # to be", " # to be") or (
        "use: TODO" in done.text
    )


def test_a_prompt_that_is_written_out_becomes_the_recipes(tmp_path: Path) -> None:
    kind = """type:
      field_output: answer
      field_instruction: question
      field_input: context
      format: "[INST] {context_} {input}\\n{instruction} [/INST]"
"""
    recipe, report = axolotl(SMALL.replace("type: alpaca\n", kind), tmp_path)
    template = recipe["train"]["template"]
    assert template["prompt"] == "[INST] {{context_}} {input}\n{instruction} [/INST]"
    assert recipe["data"]["alpaca"]["read"]["columns"]["input"] == "context"
    assert report.complete
