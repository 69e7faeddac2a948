"""axolotl's configuration -> a recipe.

Defaults follow its own code: nf4 with double quantization, the
prompts of Alpaca with their first sentence, seed 42, the weights of the last step.
"""

from __future__ import annotations

import re

from ..estimate.architectures import ALIASES, TABLE
from . import training
from .axolotl_data import datasets
from .mapping import Translation
from .sources import is_local, recipe_name
from .training import IN_STEPS, real, whole

WARMUP = "axolotl warms up over 3 % of the steps, at most 100"
LLAMA_TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
"""The special tokens of Llama 2 and of Mistral, by their own tokenizers."""
LIGER = ("liger_rope", "liger_rms_norm", "liger_layer_norm", "liger_swiglu", "liger_glu_activation")
SWITCHES = ("LigerPlugin", "CutCrossEntropyPlugin")
"""Integrations that only add keys which are translated one by one."""
PATTERN = re.compile(r"[\\^$*+?()|\[\]]")
NOT_LINEAR = frozenset({"embed_tokens", "lm_head", "embed_in", "embed_out", "wte"})


def translate(t: Translation) -> None:
    """Translate one configuration."""
    base(t)
    quantization(t)
    adapter(t)
    datasets(t)
    length(t)
    batches(t)
    schedule(t)
    evaluation(t)
    kernels(t)
    trackers(t)
    special_tokens(t)
    if t.text("wandb_name"):
        t.put("wandb_name", {"name": recipe_name(t.text("wandb_name") or "")})
    if t.integer("seed") is not None:
        t.put("seed", {"seed": t.integer("seed")})
    else:
        t.default("seed", 42, {"seed": 42})


def base(t: Translation) -> None:
    """Translate the base model and its revision."""
    where = training.base_source(t, "base_model")
    key = "model_revision" if t.value("model_revision") else "revision_of_model"
    if t.text(key) and not is_local(where):
        t.put(key, {"model.base.revision": t.text(key)})
    for other in ("base_model_config", "tokenizer_config"):
        if t.text(other) == where:
            t.inert(other, "the same as `base_model`")
        elif t.text(other):
            t.lost(other, "take configuration or tokenizer from elsewhere",
                   "put all files into one folder as `model.base`")  # fmt: skip


def quantization(t: Translation) -> None:
    """Translate bits and types; in 4 bits axolotl always takes nf4 and double quantization."""
    dtype = _dtype(t)
    place = "model.quantization"
    if t.flag("load_in_4bit"):
        four = {"use": "bitsandbytes", "bits": 4, "quant_type": "nf4", "double_quant": True}
        t.put("load_in_4bit", {f"{place}.{name}": value for name, value in four.items()},
              "with 4 bits axolotl takes nf4 and double quantization")  # fmt: skip
    elif t.flag("load_in_8bit"):
        t.put("load_in_8bit", {f"{place}.use": "bitsandbytes", f"{place}.bits": 8})
    else:
        t.draft.set(("model", "quantization", "use"), "none")
    quantized = t.draft.get(("model", "quantization", "use")) == "bitsandbytes"
    name = f"{place}.compute_dtype" if quantized else f"{place}.dtype"
    for key, value in dtype.items():
        note = "its loss scaling has no counterpart" if value == "float16" else None
        t.put(key, {name: value}, note)
    if not dtype:
        off = t.value("bf16") is False or t.value("bfloat16") is False
        value = "float32" if off else "bfloat16"
        t.default("bf16", "auto", {name: value}, None if off else "where the GPU has it")


def _dtype(t: Translation) -> dict[str, str]:
    """Return the key that chooses the type of the calculation, with our word for it."""
    for key, ours in (("bf16", "bfloat16"), ("bfloat16", "bfloat16"),
                      ("fp16", "float16"), ("float16", "float16")):  # fmt: skip
        if t.value(key) not in (None, False):
            for other in ("bfloat16", "fp16", "float16"):
                if other != key and t.value(other):
                    t.inert(other, f"`{key}` precedes it")
            return {key: ours}
    return {}


def adapter(t: Translation) -> None:
    """Translate the adapter; peft decides on options that are left out."""
    kind = t.text("adapter")
    if kind in ("lora", "qlora"):
        t.put("adapter", {"model.adapter.use": "lora"})
    else:
        t.draft.set(
            ("model", "adapter", "use"), "lora", "to be decided: a recipe trains an adapter"
        )
        would, todo = "train every weight of the base", "set `adapter: qlora`, or use another tool"
        if kind is None:
            t.no_default("adapter", None, f"axolotl would {would}: {todo}")
        else:
            t.lost("adapter", f"train an adapter of the kind `{kind}`", "use LoRA")
    for key, ours, other in (("lora_r", "r", 8), ("lora_alpha", "alpha", 8)):
        if whole(t, key, f"model.adapter.{ours}") is None and kind:
            t.default(key, other, {f"model.adapter.{ours}": other}, "peft's own")
    real(t, "lora_dropout", "model.adapter.dropout")
    if t.flag("peft_use_rslora"):
        t.put("peft_use_rslora", {"model.adapter.use_rslora": True})
    if t.flag("peft_use_dora"):
        t.put("peft_use_dora", {"model.adapter.use_dora": True})
    _modules(t)


def _modules(t: Translation) -> None:
    """Translate the modules; `lora_target_linear` adds every linear layer to the listed ones."""
    place = "model.adapter.target_modules"
    every = t.flag("lora_target_linear")
    if t.value("lora_target_modules") == "all-linear":
        t.put("lora_target_modules", {place: "all-linear"})
        listed: list[str] = []
    else:
        listed = t.texts("lora_target_modules") or []
    odd = NOT_LINEAR.intersection(listed)
    if any(PATTERN.search(name) for name in listed):
        t.lost("lora_target_modules", "choose modules by a regular expression",
               "write their names as `model.adapter.target_modules`")  # fmt: skip
        listed = []
        if not every:
            t.draft.set(("model", "adapter", "target_modules"), "all-linear", "to be decided")
    elif odd:
        t.lost("lora_target_modules", f"put the adapter on {', '.join(sorted(odd))} too",
               "adapters are on all linear layers but the head")  # fmt: skip
    if every:
        said = None
        if listed:
            said = f"axolotl adds every linear layer to the listed {', '.join(listed)}"
            if not odd:
                t.same("lora_target_modules", {place: "all-linear"}, "lora_target_linear adds all "
                       "the others")  # fmt: skip
        t.put("lora_target_linear", {place: "all-linear"}, said, said)
    elif listed and not odd:
        t.put("lora_target_modules", {place: listed})
    elif not listed and t.draft.get(("model", "adapter", "target_modules")) is None:
        training.target_modules(t, "lora_target_modules", "peft's own choice")


def length(t: Translation) -> None:
    """Translate length, packing and loss mask of samples."""
    cut = t.text("excess_length_strategy") == "truncate"
    note = None if cut else "axolotl drops longer samples; here they are truncated, and counted"
    if cut:
        t.same("excess_length_strategy", {"train.sequence_len": "longer samples are cut"})
    if whole(t, "sequence_len", "train.sequence_len", note) is None:
        t.default("sequence_len", 512, {"train.sequence_len": 512}, note)
    elif note:
        t.draft.comments["train", "sequence_len"] = note
    packing = t.flag("sample_packing")
    if packing is None:
        t.default("sample_packing", False, {"train.sample_packing": False})
    else:
        isolated = t.value("flash_attention") or t.value("sdp_attention")
        isolated = isolated or t.value("flash_attn") or t.value("attn_implementation")
        mixed = "axolotl without flash or sdp attention lets packed samples see one another"
        t.put("sample_packing", {"train.sample_packing": packing},
              mixed if packing and not isolated else None)  # fmt: skip
    training.by_length(t, packed=bool(packing))
    if t.flag("train_on_inputs"):
        t.lost("train_on_inputs", "train on the prompts too, not only on the answers",
               "templates mask the prompt; write a template of your own")  # fmt: skip
    elif t.value("train_on_inputs") is False:
        ours = {"train.template.use": t.draft.get(("train", "template", "use"))}
        t.same("train_on_inputs", ours, "templates train on answers only")
    if t.flag("dataset_exact_deduplication"):
        t.put("dataset_exact_deduplication", {"mixture.filters": [{"use": "exact-duplicates"}]})
    if t.value("shuffle_merged_datasets") is not None:
        t.inert("shuffle_merged_datasets", "training takes the rows by chance either way")


def batches(t: Translation) -> None:
    """Translate batch sizes and how long is trained."""
    t.draft.set(("train", "use"), "qlora")
    micro = whole(t, "micro_batch_size", "train.micro_batch_size") or 1
    steps = whole(t, "gradient_accumulation_steps", "train.gradient_accumulation_steps")
    total = t.integer("batch_size")
    if total and steps is None:
        t.put("batch_size", {"train.gradient_accumulation_steps": max(1, total // micro)},
              f"divided by a micro batch of {micro}")  # fmt: skip
    elif total:
        t.inert("batch_size", "`gradient_accumulation_steps` goes before it")
    whole(t, "max_steps", "train.max_steps")
    training.epochs(t, "num_epochs", 1)
    whole(t, "dataloader_num_workers", "train.dataloader_num_workers")


def schedule(t: Translation) -> None:
    """Translate optimizer, learning rate and regularisation."""
    training.optimizer(t, "optimizer", "adamw_torch_fused")
    if real(t, "learning_rate", "train.learning_rate") is None:
        t.no_default("learning_rate", None, "axolotl refuses to train without `learning_rate`")
    name = training.scheduler(t, "lr_scheduler", "cosine")
    training.warmup(t, name, WARMUP)
    for key in ("weight_decay", "max_grad_norm", "adam_beta1", "adam_beta2", "adam_epsilon"):
        real(t, key, f"train.{key}")
    for key in ("neftune_noise_alpha", "noisy_embedding_alpha"):
        if t.number(key):
            t.put(key, {"train.neftune_noise_alpha": t.number(key)})


def evaluation(t: Translation) -> None:
    """Translate the validation set, its schedule, and the choice of weights."""
    validation = training.held_out(t, "val_set_size")
    if not validation:
        for key in ("eval_steps", "evals_per_epoch", "eval_strategy", "evaluation_strategy",
                    "load_best_model_at_end", "metric_for_best_model",
                    "early_stopping_patience"):  # fmt: skip
            if t.value(key) is not None:
                t.inert(key, "there is no validation set")
    else:
        _how_often(t)
        _best(t)
        _patience(t)
    training.steps_between(t, "save_steps", "save_steps")
    whole(t, "save_total_limit", "train.save_total_limit")


def _how_often(t: Translation) -> None:
    training.steps_between(t, "eval_steps", "eval_steps")
    times = t.integer("evals_per_epoch")
    if times == 1:
        t.same("evals_per_epoch", {"train.eval_steps": None}, "each epoch's end")
    elif times:
        t.lost("evals_per_epoch", f"measure {times} times an epoch",
               IN_STEPS.format(ours="eval_steps"))  # fmt: skip
    for key in ("eval_strategy", "evaluation_strategy"):
        if t.value(key) is not None:
            t.inert(key, "the validation loss is computed every `eval_steps`, or once per epoch")


def _best(t: Translation) -> None:
    """Keep the best weights where axolotl does: saved and measured in step, and asked for."""
    place, metric = "train.metric_for_best_model", t.text("metric_for_best_model")
    saved, measured = t.number("save_steps"), t.number("eval_steps")
    in_step = saved and measured and saved % measured == 0
    patience = t.integer("early_stopping_patience")
    if not t.flag("load_best_model_at_end") and not (patience and in_step):
        t.default("load_best_model_at_end", False, {place: None}, "the weights of the last step")
        return
    if metric not in (None, "eval_loss", "loss"):
        t.lost("metric_for_best_model", f"keep the weights with the best `{metric}`",
               f"`{place}` knows `eval_loss`")  # fmt: skip
    elif metric:
        t.same("metric_for_best_model", {place: "eval_loss" if in_step else None})
    note = None if in_step else "axolotl does so only where save_steps is a multiple of eval_steps"
    ours = {place: "eval_loss" if in_step else None}
    if t.flag("load_best_model_at_end"):
        t.put("load_best_model_at_end", ours, note, note)
    else:
        t.default("load_best_model_at_end", False, ours, "the best weights, as it stops early")


def _patience(t: Translation) -> None:
    """Stop early where the best weights are kept; axolotl does so whether it keeps them or not."""
    patience = t.integer("early_stopping_patience")
    if not patience:
        return
    place = ("train", "metric_for_best_model")
    if t.draft.get(place) == "eval_loss":
        t.put("early_stopping_patience", {"train.early_stopping_patience": patience})
        return
    t.lost("early_stopping_patience", f"stop after {patience} evaluations without a lower loss",
           "with `train.metric_for_best_model: eval_loss`, which keeps the best weights, "
           f"`train.early_stopping_patience: {patience}` does it")  # fmt: skip


def kernels(t: Translation) -> None:
    """Translate what changes memory and speed more than results."""
    value = t.value("gradient_checkpointing")
    if value is not None:
        note = None if isinstance(value, bool) else f"`{value}` is a way to do it"
        t.put("gradient_checkpointing", {"train.gradient_checkpointing": bool(value)}, note)
    for key, name in (("flash_attention", "flash_attn"), ("flash_attn", "flash_attn"),
                      ("sdp_attention", "sdpa"), ("eager_attention", "eager"),
                      ("xformers_attention", "auto")):  # fmt: skip
        if t.flag(key):
            training.attention(t, key, name)
    if t.text("attn_implementation"):
        training.attention(t, "attn_implementation", t.text("attn_implementation") or "")
    training.acceleration(t, LIGER)
    integrations = t.texts("plugins") or []
    if integrations and all(name.endswith(SWITCHES) for name in integrations):
        t.inert(
            "plugins",
            "they add the keys of Liger and of a chunked loss, which are mapped themselves",
        )


def trackers(t: Translation) -> None:
    """Translate the trackers; a project of wandb switches it on by itself."""
    used = {f"use_{name}": name for name in training.TRACKERS if t.flag(f"use_{name}")}
    if t.text("wandb_project") and t.value("use_wandb") is None:
        used["wandb_project"] = "wandb"
    for key in used:
        note = "set WANDB_PROJECT to it" if key == "wandb_project" else None
        t.put(key, {"train.report_to": sorted(set(used.values()))}, note)
    if t.text("wandb_project"):
        t.inert("wandb_project", "set WANDB_PROJECT to it" if t.flag("use_wandb") else "it is off")


def special_tokens(t: Translation) -> None:
    """Distinguish tokens that the base's tokenizer already has from those that would change it."""
    repo = str(t.draft.get(("model", "base", "repo")))
    config = TABLE.get(ALIASES.get(repo, repo), {})
    kin = config.get("model_type") in ("llama", "mistral") and config.get("vocab_size") == 32000
    tokens = t.value("special_tokens")
    for name, token in tokens.items() if isinstance(tokens, dict) else ():
        key = ("special_tokens", name)
        if token is None or token == []:
            t.inert(key, "left empty")
        elif name == "pad_token":
            t.inert(key, "padding is never trained on")
        elif kin and LLAMA_TOKENS.get(name) == token:
            t.inert(key, "the base's tokenizer has it so already")
        else:
            t.lost(key, f"make {token!r} the tokenizer's `{name}`",
                   "give a base with such a tokenizer, if its own differs")  # fmt: skip
