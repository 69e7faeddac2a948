"""A recipe -> axolotl's configuration."""

from __future__ import annotations

from math import ceil
from typing import Any

from ..importers.jinja_texts import LAST_THOUGHT
from . import shared
from .outgoing import Outgoing, Place

PLAIN = {
    "format": "### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:\n",
    "no_input_format": "### Instruction:\n{instruction}\n\n### Response:\n",
}
"""The prompts of Alpaca without their first sentence, as axolotl writes prompts out."""
ROLES = ("bos_token", "eos_token", "pad_token", "unk_token")
LIGER = {
    "plugins": ["axolotl.integrations.liger.LigerPlugin"],
    "liger_rope": True,
    "liger_rms_norm": True,
    "liger_glu_activation": True,
}


def translate(out: Outgoing) -> None:
    """Translate one recipe."""
    shared.base(out, "base_model", "revision_of_model")
    quantization(out)
    shared.adapter(out, rslora="peft_use_rslora", dora="peft_use_dora")
    modules(out)
    tokens(out)
    for name in out.recipe["data"]:
        data_set(out, name)
    mixture(out)
    template(out)
    lengths(out)
    out.rename(micro_batch_size="micro_batch_size", num_epochs="num_epochs")
    shared.same(out)
    out.rename(optimizer="optimizer", loraplus_lr_ratio="loraplus_lr_ratio")
    warmup(out)
    shared.schedule(out, "lr_scheduler")
    shared.attention(out)
    evaluation(out)
    trackers(out)
    out.config["output_dir"] = f"./outputs/{out.recipe['name']}"


def tokens(out: Outgoing) -> None:
    """Translate special and added tokens; axolotl adds those of `special_tokens` by itself."""
    found, place = out.recipe["model"].get("tokens") or {}, "model.tokens"
    roles = {name: found[name] for name in ROLES if found.get(name)}
    special = [token for token in found.get("add_special", ()) if token not in roles.values()]
    both = roles | ({"additional_special_tokens": special} if special else {})
    for name in found:
        if name == "add":
            out.put(f"{place}.add", {"tokens": found["add"]} if found["add"] else {})
        else:
            out.put(f"{place}.{name}", {"special_tokens": both})
    if found and out.recipe["model"]["adapter"].get("trainable_token_indices"):
        out.lose("model.adapter.trainable_token_indices", "axolotl trains whole tables: name them "
                 "in `lora_modules_to_save`")  # fmt: skip


def warmup(out: Outgoing) -> None:
    """Translate the warm-up where axolotl counts in another way: down, and never one step."""
    ratio, total = out.text("train.warmup_ratio"), out.text("train.max_steps")
    steps = ceil(ratio * total) if ratio is not None and total else out.text("train.warmup_steps")
    if ratio is not None and total:
        out.put("train.warmup_ratio", {"warmup_steps": steps}, f"of {total} steps, rounded up")
    if steps == 1:
        out.lose("train.warmup_steps", "axolotl warms up for 2 steps where it reads 1")


def quantization(out: Outgoing) -> None:
    """Translate bits; in 4 bits axolotl always takes nf4 with double quantization."""
    place, found = "model.quantization", out.text("model.quantization")
    lora = out.text("model.adapter.use") == "lora"
    four = found["use"] == "bitsandbytes" and found["bits"] == 4
    if lora:
        out.put("model.adapter.use", {"adapter": "qlora" if four else "lora"})
    out.put(f"{place}.use", {})
    if four:
        out.put(f"{place}.bits", {"load_in_4bit": True})
        for name, own in (("quant_type", "nf4"), ("double_quant", True)):
            if found[name] == own:
                out.skip(f"{place}.{name}", "axolotl's own in 4 bits")
            else:
                out.lose(f"{place}.{name}", "in 4 bits axolotl takes nf4 and double quantization")
    elif found["use"] == "bitsandbytes":
        out.put(f"{place}.bits", {"load_in_8bit": True})
        for name in ("quant_type", "double_quant"):
            out.skip(f"{place}.{name}", "it is about 4 bits")
    for name in ("dtype", "compute_dtype"):
        if found.get(name) in ("bfloat16", "float32"):
            out.put(f"{place}.{name}", {"bf16": found[name] == "bfloat16"})


def modules(out: Outgoing) -> None:
    """Translate the modules of the adapter."""
    names = out.text("model.adapter.target_modules")
    if names == "all-linear":
        out.put("model.adapter.target_modules", {"lora_target_linear": True})
    elif names:
        out.put("model.adapter.target_modules", {"lora_target_modules": names})


def data_set(out: Outgoing, name: str) -> None:
    """Translate one data set."""
    place: Place = ("data", name)
    entry = _source(out, name)
    if entry is None:
        out.lose((*place, "source"), "axolotl takes a data set of the hub, or files of a folder")
        entry = {"path": f"./{name}"}
    sample = out.value(*place, "sample")
    if sample["use"] == "all":
        out.skip((*place, "sample"), "all rows")
    elif sample["use"] == "slice":
        entry["split"] = f"{entry.get('split', 'train')}[{sample['rows']}]"
        out.put((*place, "sample"), {})
    entry |= _read(out, name)
    out.config.setdefault("datasets", []).append(entry)


def _source(out: Outgoing, name: str) -> dict[str, Any] | None:
    place: Place = ("data", name, "source")
    found = shared.hub(out, name)
    source = out.value(*place)
    if found is not None:
        entry = {"path": found["repo"], "name": found["config"], "split": found["split"]}
        if source["include"]:
            out.put((*place, "include"), {})
            entry["data_files"] = source["include"]
        if source["revision"] != "main":
            out.put((*place, "revision"), {})
            entry["revision"] = source["revision"]
        return {key: value for key, value in entry.items() if value is not None}
    if source["use"] != "files" or any("*" in one for one in source["include"]):
        return None
    out.put(place, {})
    folder = source.get("folder") or ""
    files = [f"{folder}/{one}" if folder not in ("", ".") else one for one in source["include"]]
    if len(files) == 1:
        return {"path": files[0]}
    return {"path": "json", "data_files": files}


def _read(out: Outgoing, name: str) -> dict[str, Any]:
    """Return `type` and its fields, by the reader and the template of the recipe."""
    place: Place = ("data", name, "read")
    read, template = out.value(*place), out.text("train.template")
    fields: dict[str, Any] = {}
    if read["use"] == "conversations" and template["use"] == "chat":
        out.put((*place, "use"), {})
        out.put((*place, "field"), {})
        shared.conversation(out, place)
        if read.get("drop_system"):
            out.put((*place, "drop_system"), {})
            fields["drop_system_message"] = True
        return {"type": "chat_template", "field_messages": read["field"], **fields}
    if read["use"] != "alpaca":
        out.lose((*place, "use"), "axolotl reads Alpaca's columns, or conversations")
        return {"type": "alpaca"}
    prompt = _prompt(template)
    if prompt is None:
        out.lose((*place, "use"), "axolotl renders such rows by Alpaca's prompts, or written out")
        return {"type": "alpaca"}
    out.put((*place, "use"), {})
    for column in ("instruction", "input", "output"):
        if read["columns"].get(column):
            out.put((*place, "columns", column), {})
        fields[f"field_{column}"] = read["columns"].get(column, column)
    if prompt == {} and not read["columns"]:
        return {"type": "alpaca"}
    if prompt == {} and read["columns"] == {"output": "response"}:
        return {"type": "gpteacher"}
    if prompt == {}:
        out.lose((*place, "columns"), "axolotl's `alpaca` has fixed columns")
        return {"type": "alpaca"}
    return {"type": fields | prompt}


def _prompt(template: dict[str, Any]) -> dict[str, str] | None:
    """Return a prompt that is written out, empty for Alpaca's own; None where there is none."""
    if template["use"] == "alpaca":
        return {} if template["preamble"] else dict(PLAIN)
    bare = template.get("prompt_without_input")
    if template["use"] == "text" and template["answer"] == "{output}" and "{input}" in (
        template["prompt"]
    ):  # fmt: skip
        formats = {"format": template["prompt"], "no_input_format": bare}
        return {key: text.replace("{{", "{").replace("}}", "}")
                for key, text in formats.items() if text}  # fmt: skip
    return None


def mixture(out: Outgoing) -> None:
    """Translate duplicates, order and the validation set."""
    found = out.text("mixture")
    for n, step in enumerate(found["filters"]):
        if step["use"] == "exact-duplicates":
            out.put(("mixture", "filters", n), {"dataset_exact_deduplication": True})
    if found["order"] == "shuffle":
        out.skip("mixture.order", "rows are shuffled there, too")
    split = found["validation"]
    for name in ("fraction", "count"):
        if split and split[name] is not None:
            out.put(f"mixture.validation.{name}", {"val_set_size": split[name]})


def template(out: Outgoing) -> None:
    """Translate what else the template says."""
    place, found = "train.template", out.text("train.template")
    out.put(f"{place}.use", {})
    for name in ("preamble", "prompt", "prompt_without_input", "answer"):
        if name in found:
            out.put(f"{place}.{name}", {})
    if found["use"] == "chat":
        jinja = found["jinja"]
        forgets = jinja == LAST_THOUGHT.text and found["history"] == "as-written"
        own = {"chat_template": "qwen3" if forgets else "tokenizer_default"}
        text = {"chat_template": "jinja", "chat_template_jinja": jinja}
        theirs = text if jinja and not forgets else own
        out.put(f"{place}.jinja", theirs)
        if found["system"]:
            out.put(f"{place}.system", {"default_system_message": found["system"]})
        if found["history"] == "auto" or forgets:
            out.skip(f"{place}.history", "axolotl renders a chat whole")
    if found["learn"] == "answers":
        out.put(f"{place}.learn", {"train_on_inputs": False})
    elif found["learn"] == "all":
        out.put(f"{place}.learn", {"train_on_inputs": True})


def lengths(out: Outgoing) -> None:
    """Translate length and packing of samples."""
    how = {"drop": "drop", "truncate": "truncate", "error": "raise"}
    out.rename(sequence_len="sequence_len", sample_packing="sample_packing")
    out.put("train.overlong", {"excess_length_strategy": how[out.text("train.overlong")]})
    if out.text("train.packing_strategy") == "bfd":
        out.skip("train.packing_strategy", "samples are packed whole there, too")
    if out.text("train.use_liger_kernel"):
        out.put("train.use_liger_kernel", dict(LIGER))


def evaluation(out: Outgoing) -> None:
    """Translate when held-out rows are evaluated, and which weights are kept."""
    train, split = out.text("train"), out.text("mixture.validation")
    out.rename(save_steps="save_steps", saves_per_epoch="saves_per_epoch",
               loss_watchdog_threshold="loss_watchdog_threshold")  # fmt: skip
    if train.get("loss_watchdog_threshold"):
        patience = train.get("loss_watchdog_patience", 3)
        out.config["loss_watchdog_patience"] = patience
    best = "train.metric_for_best_model"
    if not split:
        for name in ("eval_steps", "evals_per_epoch", "metric_for_best_model"):
            if train.get(name) is not None:
                out.skip(f"train.{name}", "there is no validation set")
        return
    out.rename(eval_steps="eval_steps", evals_per_epoch="evals_per_epoch")
    if not out.config.keys() & {"eval_steps", "evals_per_epoch"}:
        out.config["evals_per_epoch"] = 1
    if train["metric_for_best_model"] is None:
        out.put(best, {"load_best_model_at_end": False})
        return
    # axolotl keeps the best weights only where each save falls on an evaluation.
    for times, steps in (("eval_steps", "save_steps"), ("evals_per_epoch", "saves_per_epoch")):
        if times in out.config:
            out.config.pop("save_steps", None)
            out.config.pop("saves_per_epoch", None)
            out.config[steps] = out.config[times]
            break
    out.put(best, {"load_best_model_at_end": True, "metric_for_best_model": "eval_loss"})
    out.rename(early_stopping_patience="early_stopping_patience")


def trackers(out: Outgoing) -> None:
    """Translate the trackers."""
    names = out.text("train.report_to")
    if names:
        out.put("train.report_to", {f"use_{name}": True for name in names})
