"""A recipe -> TRL's configuration (ScriptArguments, SFTConfig and ModelConfig in one file)."""

from __future__ import annotations

from typing import Any

from . import shared
from .outgoing import Outgoing, Place


def translate(out: Outgoing) -> None:
    """Translate one recipe."""
    shared.base(out, "model_name_or_path", "model_revision")
    quantization(out)
    out.put("model.adapter.use", {"use_peft": True})
    shared.adapter(out, rslora="use_rslora", dora="use_dora")
    end = (out.recipe["model"].get("tokens") or {}).get("eos_token")
    if end:
        out.put("model.tokens.eos_token", {"eos_token": end})
    modules = out.text("model.adapter.target_modules")
    if modules == "all-linear" or isinstance(modules, list):
        theirs = ["all-linear"] if modules == "all-linear" else modules
        out.put("model.adapter.target_modules", {"lora_target_modules": theirs})
    data(out)
    template(out)
    mixture(out)
    lengths(out)
    out.rename(micro_batch_size="per_device_train_batch_size", num_epochs="num_train_epochs")
    shared.same(out)
    out.rename(optimizer="optim")
    shared.schedule(out, "lr_scheduler_type")
    shared.attention(out)
    evaluation(out)
    if out.text("train.report_to"):
        out.put("train.report_to", {"report_to": out.text("train.report_to")})
    out.config["output_dir"] = f"./outputs/{out.recipe['name']}"


def quantization(out: Outgoing) -> None:
    """Translate bits and types."""
    place, found = "model.quantization", out.text("model.quantization")
    out.put(f"{place}.use", {})
    if found["use"] == "bitsandbytes" and found["bits"] == 4:
        out.put(f"{place}.bits", {"load_in_4bit": True})
        out.put(f"{place}.quant_type", {"bnb_4bit_quant_type": found["quant_type"]})
        out.put(f"{place}.double_quant", {"use_bnb_nested_quant": found["double_quant"]})
    elif found["use"] == "bitsandbytes":
        out.put(f"{place}.bits", {"load_in_8bit": True})
        for name in ("quant_type", "double_quant"):
            out.skip(f"{place}.{name}", "it is about 4 bits")
    for name in ("dtype", "compute_dtype"):
        if found.get(name):
            half = found[name] == "bfloat16"
            out.put(f"{place}.{name}", {"dtype": found[name], "bf16": half})


def data(out: Outgoing) -> None:
    """Translate the data sets: one by its name, several as a list."""
    entries = [_data_set(out, name) for name in out.recipe["data"]]
    if len(entries) == 1 and "columns" not in entries[0]:
        (entry,) = entries
        names = {"path": "dataset_name", "name": "dataset_config", "split": "dataset_train_split"}
        out.config |= {names[key]: value for key, value in entry.items()}
    else:
        out.config["datasets"] = entries


def _data_set(out: Outgoing, name: str) -> dict[str, Any]:
    place: Place = ("data", name)
    found = shared.hub(out, name)
    if found is None:
        out.lose((*place, "source"), "TRL takes data sets of the hub")
        found = {"repo": f"./{name}"}
    sample, read = out.value(*place, "sample"), out.value(*place, "read")
    split = found.get("split")
    if sample["use"] == "all":
        out.skip((*place, "sample"), "all rows")
    elif sample["use"] == "slice" and split:
        split = f"{split}[{sample['rows']}]"
        out.put((*place, "sample"), {})
    entry = {"path": found["repo"], "name": found.get("config"), "split": split}
    columns = _columns(read)
    if columns is None:
        out.lose((*place, "read", "use"), "TRL reads `messages`, or `prompt` and `completion`")
    else:
        for key in ("use", "field", "columns"):
            if key in read:
                out.put((*place, "read", key), {})
        if read["use"] == "conversations":
            shared.conversation(out, (*place, "read"))
        # Of one data set TRL reads the columns itself; for whole texts they are to be known.
        if columns != ["messages"] or out.text("train.template.learn") != "answers":
            entry["columns"] = columns
    return {key: value for key, value in entry.items() if value is not None}


def _columns(read: dict[str, Any]) -> list[str] | None:
    if read["use"] == "conversations" and read["field"] in ("messages", "conversations"):
        return [read["field"]]
    pairs = {"instruction": "prompt", "output": "completion"}
    if read["use"] == "alpaca" and read["columns"] == pairs:
        return ["prompt", "completion"]
    return None


def template(out: Outgoing) -> None:
    """Translate the template, and what is trained on."""
    place, found = "train.template", out.text("train.template")
    plain = found["use"] == "text" and (found["prompt"], found["answer"]) == (
        "{instruction}",
        "{output}",
    )
    if found["use"] == "chat" and not found["jinja"]:
        out.put(f"{place}.use", {})
        if found["history"] == "auto":
            out.skip(f"{place}.history", "TRL renders a chat whole")
    elif plain:
        out.put(f"{place}.use", {"completion_only_loss": True})
        for name in ("prompt", "answer"):
            out.put(f"{place}.{name}", {})
    if found["use"] == "chat" and found["learn"] != "last":
        answers = found["learn"] == "answers"
        out.put(f"{place}.learn", {"assistant_only_loss": answers})
    elif found["learn"] == "answers":
        out.put(f"{place}.learn", {})


def mixture(out: Outgoing) -> None:
    """Translate order and validation set; TRL splits rows off a list of data sets alone."""
    found = out.text("mixture")
    if found["order"] == "shuffle":
        out.skip("mixture.order", "rows are shuffled there, too")
    split = found["validation"]
    if split and "datasets" in out.config and split["fraction"] is not None:
        out.put("mixture.validation.fraction", {"test_split_size": split["fraction"]})


def lengths(out: Outgoing) -> None:
    """Translate length and packing; TRL truncates what is too long."""
    out.rename(sequence_len="max_length", sample_packing="packing")
    if out.text("train.overlong") == "truncate":
        out.skip("train.overlong", "TRL truncates, too")
    strategy = out.text("train.packing_strategy")
    if out.text("train.sample_packing"):
        out.put("train.packing_strategy", {"packing_strategy": strategy})
    else:
        out.skip("train.packing_strategy", "nothing is packed")
    if out.text("train.use_liger_kernel"):
        out.put("train.use_liger_kernel", {"use_liger_kernel": True})


def evaluation(out: Outgoing) -> None:
    """Translate when held-out rows are evaluated, and which weights are kept."""
    train = out.text("train")
    if out.text("mixture.validation") is None:
        for name in ("eval_steps", "evals_per_epoch", "metric_for_best_model"):
            if train.get(name) is not None:
                out.skip(f"train.{name}", "there is no validation set")
        return
    if train["eval_steps"] is not None:
        theirs = {"eval_strategy": "steps", "eval_steps": train["eval_steps"]}
        out.put("train.eval_steps", theirs)
    else:
        out.put("train.eval_steps", {"eval_strategy": "epoch"})
    best = train["metric_for_best_model"] is not None
    out.put("train.metric_for_best_model", {"load_best_model_at_end": best})
    if best:
        out.config["save_strategy"] = out.config["eval_strategy"]
        if train["eval_steps"] is not None:
            out.config["save_steps"] = train["eval_steps"]
