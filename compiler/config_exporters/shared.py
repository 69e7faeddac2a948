"""What axolotl and TRL share, because both train by transformers and peft."""

from __future__ import annotations

from typing import Any

from .outgoing import Outgoing, Place

SAME = ("learning_rate", "max_grad_norm", "weight_decay", "adam_beta1", "adam_beta2",
        "adam_epsilon", "gradient_accumulation_steps", "gradient_checkpointing",
        "neftune_noise_alpha", "max_steps")  # fmt: skip
"""Parameters of `train` that both have under the same name."""
SWITCHES = ("group_by_length", "torch_compile")


def base(out: Outgoing, key: str, revision: str) -> None:
    """Translate the base model: a repository of the hub, or a folder."""
    source = out.text("model.base")
    if source["use"] == "huggingface":
        out.put("model.base.use", {})
        out.put("model.base.repo", {key: source["repo"]})
        if source["revision"] != "main":
            out.put("model.base.revision", {revision: source["revision"]})
        else:
            out.skip("model.base.revision", "the default branch there, too")
    elif source["use"] == "files" and source.get("include") == ["*"]:
        out.put("model.base", {key: source["folder"]})
    else:
        out.lose("model.base", f"{out.tool} takes a repository of the hub or a folder")


def adapter(out: Outgoing, *, rslora: str, dora: str) -> None:
    """Translate rank, scale and dropout of LoRA; modules differ by tool."""
    found = out.text("model.adapter")
    if found["use"] != "lora":
        out.lose("model.adapter", f"{out.tool} has no adapter `{found['use']}`")
        return
    out.put("model.adapter.r", {"lora_r": found["r"]})
    out.put("model.adapter.alpha", {"lora_alpha": found["alpha"]})
    out.put("model.adapter.dropout", {"lora_dropout": found["dropout"]})
    for ours, theirs in (("use_rslora", rslora), ("use_dora", dora)):
        if found[ours]:
            out.put(f"model.adapter.{ours}", {theirs: True})
    for ours in ("modules_to_save", "target_parameters"):
        if found.get(ours):
            out.put(f"model.adapter.{ours}", {f"lora_{ours}": found[ours]})
    if found["init_lora_weights"] == "default":
        out.skip("model.adapter.init_lora_weights", "peft's own there, too")
    if found["bias"] == "none":
        out.skip("model.adapter.bias", "no biases are trained there, either")


def schedule(out: Outgoing, key: str) -> None:
    """Translate schedule and warm-up by their names in transformers."""
    train = out.text("train")
    ratio, steps, name = train["warmup_ratio"], train["warmup_steps"], train["lr_scheduler"]
    warm = bool(ratio or steps)
    if name == "constant" and warm:
        name = "constant_with_warmup"
    out.put("train.lr_scheduler", {key: name})
    if train.get("lr_scheduler_kwargs"):
        kwargs = train["lr_scheduler_kwargs"]
        out.put("train.lr_scheduler_kwargs", {"lr_scheduler_kwargs": kwargs})
    if ratio is not None:
        if "warmup_steps" not in out.config:
            out.put("train.warmup_ratio", {"warmup_ratio": ratio})
        out.skip("train.warmup_steps", "`warmup_ratio` is given")
    else:
        out.put("train.warmup_steps", {"warmup_steps": steps})


def same(out: Outgoing) -> None:
    """Translate what has the same name, and the seed."""
    for name in SAME:
        if out.value("train", name) is not None:
            out.put(f"train.{name}", {name: out.value("train", name)})
    for name in SWITCHES:
        if out.value("train", name):
            out.put(f"train.{name}", {name: True})
    out.put("seed", {"seed": out.recipe["seed"]})
    out.put("train.use", {})


def attention(out: Outgoing) -> None:
    """Translate the kernel of attention; samples of a pack never see one another here."""
    names = {"auto": "flash_attention_2", "flash": "flash_attention_2"}
    ours = out.text("train.attn_implementation")
    theirs = names.get(ours, ours)
    note = "with it packed samples do not see one another there" if ours in names else None
    out.put("train.attn_implementation", {"attn_implementation": theirs}, note)


def hub(out: Outgoing, name: str) -> dict[str, Any] | None:
    """Return repository, configuration and split of a data set of the hub, noted; else None."""
    place, source = ("data", name, "source"), out.value("data", name, "source")
    if source["use"] != "huggingface" or source.get("exclude"):
        return None
    found = {"repo": source["repo"], "config": source.get("config"), "split": source.get("split")}
    for key in ("use", "repo", "repo_type", "config", "split"):
        out.put((*place, key), {})
    if source["revision"] == "main":
        out.skip((*place, "revision"), "the default branch there, too")
    return found


def conversation(out: Outgoing, place: Place) -> None:
    """Note columns and cases of conversations that are what both tools do by themselves."""
    for name, own in (("system", "system"), ("tools", "tools"), ("unanswered", "trim")):
        if out.value(*place, name) in (own, "error"):
            out.skip((*place, name), "where a row has such a column or ending")
