"""axolotl's configuration -> a recipe.

Defaults follow its own code: nf4 with double quantization, the
prompts of Alpaca with their first sentence, seed 42, the weights of the last step.
"""

from __future__ import annotations

import re

from . import axolotl_training, training
from .axolotl_data import datasets
from .axolotl_tokens import tokens
from .mapping import Translation
from .refusals import refuse
from .sources import is_local, recipe_name
from .training import real, whole

LIGER = ("liger_rope", "liger_rms_norm", "liger_layer_norm", "liger_swiglu", "liger_glu_activation")
SWITCHES = ("LigerPlugin", "CutCrossEntropyPlugin", "KernelsPlugin")
"""Integrations that only add keys which are translated one by one."""
TRAINERS = ("DiffusionPlugin", "KDPlugin", "NeMoGymPlugin", "SpectrumPlugin")
"""Integrations that train in another way."""
PATTERN = re.compile(r"[\\^$*+?()|\[\]]")
NOT_LINEAR = frozenset({"embed_tokens", "lm_head", "embed_in", "embed_out", "wte"})


def translate(t: Translation) -> None:
    """Translate one configuration."""
    refusals(t)
    base(t)
    quantization(t)
    adapter(t)
    datasets(t)
    length(t)
    routers(t)
    axolotl_training.batches(t)
    axolotl_training.schedule(t)
    axolotl_training.evaluation(t)
    kernels(t)
    trackers(t)
    tokens(t)
    if t.text("wandb_name"):
        t.put("wandb_name", {"name": recipe_name(t.text("wandb_name") or "")})
    if t.integer("seed") is not None:
        t.put("seed", {"seed": t.integer("seed")})
    else:
        t.default("seed", 42, {"seed": 42})


def refusals(t: Translation) -> None:
    """Refuse what is not supervised fine-tuning of an adapter on text."""
    if t.text("rl"):
        refuse(t, "rl", f"trains by {t.text('rl')}, from preferences or rewards", ("train",))
    for key in ("reward_model", "process_reward_model"):
        if t.flag(key):
            refuse(t, key, "trains a reward model", ("train",))
    if t.text("processor_type"):
        refuse(t, "processor_type", "trains on pictures or sound", ("train",))
    if t.value("pretraining_dataset"):
        refuse(t, "pretraining_dataset", "trains on plain text as in pretraining", ("train",))
    kind = t.text("adapter")
    if kind is None and t.value("datasets"):
        refuse(t, "adapter", "trains every weight of the base", ("model", "adapter"))
    elif kind not in (None, "lora", "qlora"):
        refuse(t, "adapter", f"trains an adapter of the kind {kind}", ("model", "adapter"))
    for name in t.texts("plugins") or []:
        if name.endswith(TRAINERS):
            refuse(t, "plugins", f"trains as {name.rpartition('.')[2]} has it", ("train",))


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
    place = "model.quantization"
    kind = t.text("adapter")
    if kind == "qlora" and not t.flag("load_in_4bit") and not t.flag("load_in_8bit"):
        t.lost("adapter", "be refused: qlora asks for a base in 4 bits",
               "write `load_in_4bit: true`, or `adapter: lora`")  # fmt: skip
    if t.flag("load_in_4bit") and kind == "lora":
        t.lost("load_in_4bit", "load the base as its version has it: newer ones quantize in 4 bits "
               "for `adapter: qlora` alone", "nf4 with double quantization is written, as for "
               "qlora")  # fmt: skip
    if t.flag("load_in_4bit"):
        four = {"use": "bitsandbytes", "bits": 4, "quant_type": "nf4", "double_quant": True}
        ours = {f"{place}.{name}": value for name, value in four.items()}
        if kind == "lora":
            for path, value in ours.items():
                t.draft.set(tuple(path.split(".")), value)
        else:
            t.put("load_in_4bit", ours, "with 4 bits axolotl takes nf4 and double quantization")
    elif t.flag("load_in_8bit"):
        t.put("load_in_8bit", {f"{place}.use": "bitsandbytes", f"{place}.bits": 8})
    else:
        t.draft.set(("model", "quantization", "use"), "none")
    _computed_in(t, place)


def _computed_in(t: Translation, place: str) -> None:
    """Translate the type of the calculation, and whether experts are quantized."""
    dtype = _dtype(t)
    quantized = t.draft.get(("model", "quantization", "use")) == "bitsandbytes"
    if quantized and t.flag("quantize_moe_experts"):
        t.put("quantize_moe_experts", {f"{place}.experts": True})
    name = f"{place}.compute_dtype" if quantized else f"{place}.dtype"
    for key, value in dtype.items():
        if value == "float16":
            training.half(t, key)
            t.draft.set(tuple(name.split(".")), "bfloat16")
        else:
            t.put(key, {name: value})
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
    for key, ours, other in (("lora_r", "r", 8), ("lora_alpha", "alpha", 8)):
        if whole(t, key, f"model.adapter.{ours}") is None and kind:
            t.default(key, other, {f"model.adapter.{ours}": other}, "peft's own")
    real(t, "lora_dropout", "model.adapter.dropout")
    if t.flag("peft_use_rslora"):
        t.put("peft_use_rslora", {"model.adapter.use_rslora": True})
    training.beside(t, "lora_modules_to_save", "lora_target_parameters")
    if t.flag("peft_use_dora"):
        t.put("peft_use_dora", {"model.adapter.use_dora": True})
    _modules(t)


def _modules(t: Translation) -> None:
    """Translate the modules; `lora_target_linear` adds every linear layer to the listed ones."""
    place = "model.adapter.target_modules"
    every = t.flag("lora_target_linear")
    expression = t.value("lora_target_modules")
    if isinstance(expression, str) and PATTERN.search(expression) and not every:
        t.put("lora_target_modules", {place: expression})
        return
    if expression == "all-linear":
        t.put("lora_target_modules", {place: "all-linear"})
        listed: list[str] = []
    else:
        listed = t.texts("lora_target_modules") or []
    odd = NOT_LINEAR.intersection(listed)
    if any(PATTERN.search(name) for name in listed):
        t.lost("lora_target_modules", "choose modules by several expressions",
               "write one as `model.adapter.target_modules`, with `|` between them")  # fmt: skip
        listed = []
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


def routers(t: Translation) -> None:
    """Translate the loss of a mixture's routers, which the base's configuration weighs."""
    if t.flag(("model_config", "output_router_logits")):
        ours = {"train.output_router_logits": True}
        t.put(("model_config", "output_router_logits"), ours, "the mean over micro batches")


def length(t: Translation) -> None:
    """Translate length and packing of samples, and what of them is learnt."""
    if whole(t, "sequence_len", "train.sequence_len") is None:
        t.default("sequence_len", 512, {"train.sequence_len": 512})
    strategy = {"drop": "drop", "truncate": "truncate", "raise": "error"}
    how = t.text("excess_length_strategy")
    if how in strategy:
        t.put("excess_length_strategy", {"train.overlong": strategy[how]})
    elif how is None:
        t.default("excess_length_strategy", "drop", {"train.overlong": "drop"})
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
        t.put("train_on_inputs", {"train.template.learn": "all"})
    elif t.value("train_on_inputs") is False:
        ours = {"train.template.use": t.draft.get(("train", "template", "use"))}
        t.same("train_on_inputs", ours, "templates train on answers only")
    if t.flag("dataset_exact_deduplication"):
        t.put("dataset_exact_deduplication", {"mixture.filters": [{"use": "exact-duplicates"}]})
    if t.value("shuffle_merged_datasets") is not None:
        t.inert("shuffle_merged_datasets", "training takes the rows by chance either way")


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
