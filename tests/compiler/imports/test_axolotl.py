"""axolotl's configurations become recipes that do the same, and no key is dropped in silence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from imports import imported, leaves, listed

from khichdi.compiler.validate import validate
from khichdi.plugins.registry import load_registry
from khichdi.project.bundled_recipes import open_recipe
from khichdi.schema.errors import InputError, RecipeError

ZIGGURAT = sorted((Path(__file__).parent / "ziggurat").glob("*.yml"))
SMALL = """\
base_model: meta-llama/Llama-2-7b-hf
load_in_4bit: true
adapter: qlora
lora_r: 8
lora_alpha: 16
lora_target_linear: true
datasets:
  - path: tatsu-lab/alpaca
    type: alpaca
learning_rate: 2e-4
warmup_steps: 10
"""


def bound(text: str, tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "imported.yaml").write_text(text, encoding="utf-8")
    recipe = validate("imported.yaml", tmp_path, open_recipe, load_registry()).recipe
    return recipe.to_json()


def axolotl(text: str, tmp_path: Path) -> tuple[dict[str, Any], Any]:
    done = imported(text, "axolotl")
    return bound(done.text, tmp_path), done.report


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


def test_a_default_that_a_recipe_cannot_say_is_reported() -> None:
    report = imported(SMALL.replace("    type: alpaca\n", ""), "axolotl").report
    assert not report.complete
    assert [default.key for default in report.defaults if not default.ours] == ["datasets[0].type"]


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


@pytest.mark.parametrize(
    ("line", "todo"),
    [
        ("lora_rr: 16", "did you mean `lora_r`?"),
        ("squence_len: 4096", "did you mean `sequence_len`?"),
        ("lora_model_dir: ./old", "scratch"),
        ("fp16: true", "bfloat16"),
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


def test_the_loss_of_routers_is_trained_with(tmp_path: Path) -> None:
    recipe, report = axolotl(SMALL + "model_config: {output_router_logits: true}\n", tmp_path)
    assert recipe["train"]["output_router_logits"] is True
    assert report.complete


def test_a_system_message_is_left_out_where_axolotl_drops_it(tmp_path: Path) -> None:
    kind = "type: chat_template\n    drop_system_message: true"
    recipe, report = axolotl(SMALL.replace("type: alpaca", kind), tmp_path)
    assert recipe["data"]["alpaca"]["read"]["drop_system"] is True
    assert report.complete


def test_another_prompt_than_ours_is_not_passed_off_as_ours() -> None:
    report = imported(SMALL.replace("type: alpaca", "type: sharegpt"), "axolotl").report
    assert [entry.key for entry in report.not_mapped] == [("datasets", 0, "type")]


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


@pytest.mark.parametrize(("role", "complete"), [("from", True), ("role", True), ("who", False)])
def test_names_of_message_properties_that_the_reader_knows(role: str, complete: bool) -> None:
    names = f"{{role: {role}, content: value}}"
    kind = f"type: chat_template\n    message_property_mappings: {names}"
    report = imported(SMALL.replace("type: alpaca", kind), "axolotl").report
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


@pytest.mark.parametrize("base", ['"{{ model }}"', "${BASE_MODEL}", "<your-model>"])
def test_a_placeholder_is_not_a_folder(base: str) -> None:
    report = imported(SMALL.replace("meta-llama/Llama-2-7b-hf", base), "axolotl").report
    assert [entry.key for entry in report.not_mapped] == [("base_model",)]


def test_truth_values_of_yaml_1_1(tmp_path: Path) -> None:
    recipe, report = axolotl(SMALL.replace("load_in_4bit: true", "load_in_4bit: yes"), tmp_path)
    assert recipe["model"]["quantization"]["bits"] == 4
    assert report.complete


def test_like_lengths_go_together_where_nothing_is_packed() -> None:
    done = imported(SMALL + "group_by_length: true\n", "axolotl")
    assert not done.report.not_mapped
    assert "group_by_length: true" in done.text


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


@pytest.mark.parametrize("name", ["jamba", "my_own"])
def test_a_template_by_another_name_is_left_to_be_decided(name: str) -> None:
    config = SMALL.replace("type: alpaca\n", "type: chat_template\n") + f"chat_template: {name}\n"
    done = imported(config, "axolotl")
    assert [entry.key for entry in done.report.not_mapped] == [("chat_template",)]
    assert "template: # to be decided" in done.text.replace("\n    # to be", " # to be") or (
        "use: TODO" in done.text
    )


@pytest.mark.parametrize(
    ("adapter", "four", "lost"),
    [("qlora", "true", []), ("qlora", "false", ["adapter"]), ("lora", "true", ["load_in_4bit"])],
)
def test_four_bits_go_with_qlora(adapter: str, four: str, lost: list[str]) -> None:
    config = SMALL.replace("load_in_4bit: true", f"load_in_4bit: {four}")
    report = imported(config.replace("adapter: qlora", f"adapter: {adapter}"), "axolotl").report
    assert [entry.key[0] for entry in report.not_mapped] == lost


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
