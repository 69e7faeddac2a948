"""LLaMA-Factory's new format (`model`, `peft_config`, `train_dataset`) -> a recipe.

Data sets are described by a file of their own, which is not read: they are left to be decided.
"""

from __future__ import annotations

from . import training
from .chat_formats import SAME_TEMPLATE, template_of
from .mapping import Translation
from .refusals import no_data, refuse
from .sources import set_name
from .training import real, whole

SIGNS = frozenset({"train_dataset", "peft_config", "model_class", "dist_config", "kernel_config"})
BITS = "quantize to {} bits"


def is_new(t: Translation) -> bool:
    """Return whether a configuration is in the new format."""
    return t.value("model_name_or_path") is None and bool(SIGNS & t.parsed.data.keys())


def translate(t: Translation) -> None:
    """Translate one configuration."""
    refusals(t)
    training.base_source(t, "model")
    adapter(t)
    quantization(t)
    data(t)
    batches(t)
    for key in ("kernel_config", "dist_config"):
        if t.value(key) is not None:
            t.inert(key, "kernels, and how a training is spread over GPUs: `recipe run --launch N`")
    for key in ("sample_backend", "max_new_tokens"):
        if t.value(key) is not None:
            t.inert(key, "it is about what is done after training")
    if t.text("model_class") == "llm":
        t.inert("model_class", "recipes train language models")
    if t.integer("seed") is not None:
        t.put("seed", {"seed": t.integer("seed")})
    else:
        t.default("seed", 42, {"seed": 42})


def refusals(t: Translation) -> None:
    """Refuse what is not supervised fine-tuning of an adapter on text."""
    if t.text(("peft_config", "export_dir")):
        raise no_data(t, "train_dataset", "a file that describes data sets")
    kind = t.text(("peft_config", "name"))
    if kind is None:
        refuse(t, "peft_config", "trains every weight of the base", ("model", "adapter"))
    elif kind != "lora":
        refuse(t, ("peft_config", "name"), f"trains by the method {kind}", ("model", "adapter"))
    if t.text("model_class") not in (None, "llm"):
        refuse(t, "model_class", f"trains a model of the class {t.text('model_class')}", ("train",))
    if "dpo" in (t.text("train_dataset") or ""):
        refuse(t, "train_dataset", "trains from preferences", ("train",))


def adapter(t: Translation) -> None:
    """Translate the adapter; what is left out is peft's own."""
    if t.text(("peft_config", "name")) == "lora":
        t.put(("peft_config", "name"), {"model.adapter.use": "lora"})
    for key, ours in (("r", "r"), ("lora_alpha", "alpha")):
        if whole(t, ("peft_config", key), f"model.adapter.{ours}") is None:
            t.default(f"peft_config.{key}", 8, {f"model.adapter.{ours}": 8}, "peft's own")
    real(t, ("peft_config", "lora_dropout"), "model.adapter.dropout")
    for key in ("use_rslora", "use_dora"):
        if t.flag(("peft_config", key)):
            t.put(("peft_config", key), {f"model.adapter.{key}": True})
    names = t.texts(("peft_config", "target_modules"))
    if names:
        modules = "all-linear" if names == ["all"] else names
        t.put(("peft_config", "target_modules"), {"model.adapter.target_modules": modules})


def quantization(t: Translation) -> None:
    """Translate bits; in 4 bits the tool takes nf4 with double quantization."""
    bits, place = t.integer(("quant_config", "quantization_bit")), "model.quantization"
    if bits in (4, 8):
        t.put(("quant_config", "quantization_bit"),
              {f"{place}.use": "bitsandbytes", f"{place}.bits": bits})  # fmt: skip
        if t.text(("quant_config", "name")) in ("bnb", "auto"):
            t.same(("quant_config", "name"), {f"{place}.use": "bitsandbytes"})
        t.draft.set(("model", "quantization", "compute_dtype"), "bfloat16")
    elif bits is not None:
        t.lost(("quant_config", "quantization_bit"), BITS.format(bits), "4 and 8 are known")
    else:
        t.draft.set(("model", "quantization", "use"), "none")
        t.draft.set(("model", "quantization", "dtype"), "bfloat16")
    if bits == 4:
        t.default("quant_config.double_quantization", True, {f"{place}.double_quant": True})


def data(t: Translation) -> None:
    """Leave the data to be decided, and write the template out."""
    where = t.text("train_dataset")
    if where is None:
        raise no_data(t, "train_dataset", "a file that describes data sets")
    name = set_name(where.removesuffix(".yaml"), set())
    t.undecided(("data", name, "source"), f"described by {where}")
    t.undecided(("data", name, "read"), f"described by {where}")
    t.lost("train_dataset", f"read the data sets that {where} describes",
           "write each as `source` and `read` under `data`")  # fmt: skip
    template = t.text("template") or "qwen3_nothink"
    found = template_of(t.tool, template, t.text("model") or "")
    if found is None:
        t.undecided("train.template", f"LLaMA-Factory renders by its template `{template}`")
        t.lost("template", f"render rows as `{template}` does",
               SAME_TEMPLATE.format(text="its Jinja text"))  # fmt: skip
    elif t.text("template"):
        t.put("template", {("train", "template", n): v for n, v in found.items()})
    else:
        ours = {("train", "template", n): v for n, v in found.items()}
        t.default("template", template, ours)


def batches(t: Translation) -> None:
    """Translate batches, length and schedule."""
    t.draft.set(("train", "use"), "qlora")
    micro = whole(t, "micro_batch_size", "train.micro_batch_size") or 1
    total = t.integer("global_batch_size")
    if total:
        t.put("global_batch_size",
              {"train.gradient_accumulation_steps": max(1, total // micro)})  # fmt: skip
    if whole(t, "cutoff_len", "train.sequence_len") is None:
        t.default("cutoff_len", 2048, {"train.sequence_len": 2048})
    if real(t, "learning_rate", "train.learning_rate") is None:
        t.default("learning_rate", 1e-4, {"train.learning_rate": 1e-4})
    whole(t, "max_steps", "train.max_steps")
    training.epochs(t, "num_train_epochs", 3)
    real(t, "max_grad_norm", "train.max_grad_norm")
    t.default("batching_strategy", "normal", {"train.sample_packing": False})
    if t.value("optim_config") is None:
        t.default("optim_config", None, {"train.weight_decay": 0.01}, "torch's own")
    if t.value("lr_scheduler_config") is None:
        t.default("lr_scheduler_config", None, {"train.lr_scheduler": "constant"})
    checkpointing = t.flag("enable_activation_checkpointing")
    if checkpointing is not None:
        ours = {"train.gradient_checkpointing": checkpointing}
        t.put("enable_activation_checkpointing", ours)
    else:
        ours = {"train.gradient_checkpointing": True}
        t.default("enable_activation_checkpointing", True, ours)
    training.steps_between(t, "save_steps", "save_steps")
    whole(t, "save_total_limit", "train.save_total_limit")
