"""Keys that the tools share, because all three train with transformers: a function per concern.

Each takes the translation and the tool's own words for the same thing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from ...plugins.registry import UNDECIDED
from ...schema.errors import InputError
from ..estimate.architectures import ALIASES, TABLE, from_config
from .mapping import OFF, Key, Translation
from .recipe_draft import Place
from .sources import LICENSES, is_local, model_source

OPTIMIZERS = {
    "adamw_torch": "adamw_torch",
    "adamw_torch_fused": "adamw_torch",
    "adamw_hf": "adamw_torch",
    "adamw_8bit": "adamw_8bit",
    "adamw_bnb_8bit": "adamw_bnb_8bit",
    "adamw_torch_8bit": "adamw_torch_8bit",
    "adamw_torch_4bit": "adamw_torch_4bit",
    "paged_adamw_8bit": "paged_adamw_8bit",
    "paged_adamw": "paged_adamw_32bit",
    "paged_adamw_32bit": "paged_adamw_32bit",
}
"""Optimizers by their name in transformers, and ours that makes the same update."""
SCHEDULERS = {
    "cosine": "cosine",
    "cosine_with_restarts": "cosine",
    "linear": "linear",
    "constant": "constant",
    "constant_with_warmup": "constant",
    "cosine_with_min_lr": "cosine_with_min_lr",
    "polynomial": "polynomial",
    "inverse_sqrt": "inverse_sqrt",
    "warmup_stable_decay": "warmup_stable_decay",
}
PEFT_DEFAULT = ("q_proj", "v_proj")
"""The modules that peft chooses for Llama and its kin where none are named."""
PLACEHOLDER = re.compile(r"\$\{|\{\{|^<.*>$")
QUANTIZED = re.compile(
    r"[-_.](awq|gptq|aqlm|hqq|eetq|nvfp4|mxfp4|fp8|bnb-nf4|bnb-4bit|[48]-?bit|int[48])(?![a-z0-9])",
    re.I,
)
"""Names of repositories whose weights are quantized; their config.json is not read here."""
LOADED = ("fp8", "mxfp4")
"""Of these, the ones that are unpacked when they are loaded."""
FOUR_BITS = ("bnb-nf4", "bnb-4bit")
"""Those of bitsandbytes, which stay as they are where a recipe asks for 4 bits."""
TRACKERS = ("tensorboard", "wandb", "mlflow", "trackio")
"""The trackers of `train.report_to`."""


def base_source(t: Translation, key: str) -> str:
    """Translate where the base is; return that."""
    where = t.text(key)
    if where is None:
        raise InputError(f"`{key}` is missing, the model to train was expected", file=t.report.file)
    local = "a folder is found from the recipe's own" if is_local(where) else None
    ours = {f"model.base.{name}": value for name, value in model_source(where, None).items()}
    doubt = _doubt(where, t.flag("load_in_4bit") or t.integer("quantization_bit") == 4)
    if doubt:
        t.draft.set(("model", "base"), {"use": UNDECIDED}, f"to be decided: {where}")
        t.lost(key, *doubt)
    else:
        t.put(key, ours, local, local)
    if where in LICENSES:
        t.draft.set(("model", "license"), LICENSES[where], "as its card states")
    return where


def _doubt(where: str, four_bits: bool | None) -> tuple[str, str] | None:
    """Return the effect of a base that cannot be taken as it is written, and what to do."""
    if PLACEHOLDER.search(where):
        return "take a model that is filled in elsewhere", "write its name or its folder"
    kind = QUANTIZED.search(where)
    if kind and kind[1].lower() in LOADED:
        return None
    if kind and not (four_bits and kind[1].lower() in FOUR_BITS):
        return (
            f"start from weights that are quantized already ({kind[1]})",
            "give the base that is not quantized, and quantize it under `model.quantization`",
        )
    return None


def whole(t: Translation, key: Key, ours: str, note: str | None = None) -> int | None:
    """Translate a whole number of at least 1; others are left for the tables."""
    value = t.integer(key)
    if value is not None and value >= 1:
        t.put(key, {ours: value}, note)
        return value
    if value is not None:
        t.inert(key, "it says `none` by a number below 1")
    return None


def real(t: Translation, key: Key, ours: str, comment: str | None = None) -> float | None:
    """Translate a number."""
    value = t.number(key)
    if value is not None:
        t.put(key, {ours: value}, comment=comment)
    return value


def by_length(t: Translation, packed: bool) -> None:
    """Translate batches of samples of like length, which have no meaning among packs."""
    if not t.flag("group_by_length"):
        return
    if packed:
        t.inert("group_by_length", "packs are as good as equally long")
    else:
        t.put("group_by_length", {"train.group_by_length": True})


def epochs(t: Translation, key: str, default: int) -> None:
    """Translate the number of epochs; a recipe takes whole ones."""
    value = t.number(key)
    if value is None:
        t.default(key, default, {"train.num_epochs": default})
    elif value >= 1 and value.is_integer():
        t.put(key, {"train.num_epochs": int(value)})
    elif t.draft.has(("train", "max_steps")):
        t.inert(key, "`max_steps` goes before it")
    else:
        t.lost(key, f"train for {value} epochs; a recipe trains for whole ones",
               "write the number of steps as `train.max_steps`; `recipe plan` prints how many "
               "an epoch has")  # fmt: skip


def optimizer(t: Translation, key: str, default: str) -> None:
    """Translate the optimizer by its name in transformers."""
    name = t.text(key)
    if name is None:
        if OPTIMIZERS[default] != "adamw_torch":
            t.default(key, default, {"train.optimizer": OPTIMIZERS[default]})
    elif name in OPTIMIZERS:
        ours = OPTIMIZERS[name]
        same = "the same update" if ours != name else None
        comment = f"{name} there: {same}" if same else None
        t.put(key, {"train.optimizer": ours}, same, comment)
    else:
        t.lost(key, f"train with `{name}`, which the runtime does not have",
               f"choose one of {', '.join(dict.fromkeys(OPTIMIZERS.values()))}")  # fmt: skip


def scheduler(t: Translation, key: str, default: str) -> str | None:
    """Translate the schedule; return the tool's name of it."""
    name, place = t.text(key), "train.lr_scheduler"
    kwargs = _schedule_arguments(t)
    if name is None:
        if SCHEDULERS[default] != "cosine":
            t.default(key, default, {place: SCHEDULERS[default]})
        return default
    if name not in SCHEDULERS:
        t.lost(key, f"change the learning rate by `{name}`, which the runtime does not have",
               f"choose {', '.join(dict.fromkeys(SCHEDULERS.values()))} for `{place}`")  # fmt: skip
        return name
    if kwargs and name == "cosine_with_restarts":
        t.put(key, {place: name})
    else:
        note = "one cycle without a restart is a cosine" if name.endswith("restarts") else None
        t.put(key, {place: SCHEDULERS[name]}, note, note)
    for argument in kwargs:
        t.put(("lr_scheduler_kwargs", argument),
              {("train", "lr_scheduler_kwargs", argument): kwargs[argument]})  # fmt: skip
    return name


def _schedule_arguments(t: Translation) -> dict[str, float]:
    """Return the arguments of the schedule that are numbers; others are left for the tables."""
    kwargs = t.value("lr_scheduler_kwargs")
    found = {}
    for name in kwargs if isinstance(kwargs, dict) else ():
        value = t.value(("lr_scheduler_kwargs", name))
        if type(value) in (int, float):
            found[name] = value
    return found


def warmup(t: Translation, schedule: str | None, *, down: bool = False) -> None:
    """Translate the warm-up; steps go before a share of all steps.

    Where the steps are known, a tool that rounds a share `down` has another number than ours.
    """
    given = {key: value for key in ("warmup_steps", "warmup_ratio")
             if (value := t.number(key)) is not None}  # fmt: skip
    if schedule == "constant":
        for key in given:
            t.inert(key, "the schedule `constant` of transformers has no warm-up")
    elif given.get("warmup_steps"):
        _warmup(t, "warmup_steps", given["warmup_steps"], down)
        if "warmup_ratio" in given:
            t.inert("warmup_ratio", "`warmup_steps` goes before it")
    elif given:
        for key, value in given.items():
            _warmup(t, key, value, down)


def _warmup(t: Translation, key: str, value: float, down: bool) -> None:
    """Translate one of both words; what is below 1 is a share of all steps."""
    total = known_steps(t)
    if value == 0 or value >= 1:
        t.put(key, {"train.warmup_steps": int(value)})
    elif down and total:
        t.put(key, {"train.warmup_steps": int(value * total)}, f"of {total} steps, rounded down")
    else:
        note = "rounded up, there down: at most a step differs" if down else None
        t.put(key, {"train.warmup_ratio": value}, note)


def steps_between(t: Translation, key: str, ours: str) -> bool:
    """Translate optimizer steps between two events; below 1 it is a share of the steps."""
    value = t.number(key)
    if value is None or value <= 0:
        return False
    t.put(key, {f"train.{ours}": int(value) if value >= 1 else value})
    return True


def times_per_epoch(t: Translation, key: str, ours: str, epochs: float) -> None:
    """Translate events per epoch; with `max_steps` they divide those steps, as axolotl has it."""
    times, total = t.integer(key), known_steps(t)
    if not times or times < 1:
        return
    if total:
        steps = max(1, math.ceil(total / (times * epochs)))
        t.put(key, {f"train.{ours}_steps": steps}, f"of {total} steps")
    else:
        t.put(key, {f"train.{ours}s_per_epoch": times})


def half(t: Translation, key: str) -> None:
    """Report 16-bit floats with a loss that is scaled, which is another training."""
    t.lost(key, "compute in float16, and scale the loss against what is too small for it",
           "bfloat16 is written, which needs no scaling")  # fmt: skip


def held_out(t: Translation, key: str) -> bool:
    """Translate the size of the validation set: a share below 1, else a count."""
    size = t.number(key)
    if not size:
        if size is not None:
            t.inert(key, "there is no validation set")
        return False
    place: Place = ("mixture", "validation", "fraction" if size < 1 else "count")
    t.put(key, {place: size if size < 1 else int(size)})
    return True


def beside(t: Translation, modules: str, parameters: str) -> None:
    """Translate what is trained beside linear layers: whole modules, and bare parameters."""
    for key, ours in ((modules, "modules_to_save"), (parameters, "target_parameters")):
        if names := t.texts(key):
            t.put(key, {f"model.adapter.{ours}": names})


def target_modules(t: Translation, key: str, note: str) -> None:
    """Write out peft's own choice of modules, where the base is known to have them."""
    repo = str(t.draft.get(("model", "base", "repo")) or "")
    config = TABLE.get(ALIASES.get(repo, repo))
    architecture = from_config(config) if config else None
    if architecture is not None and architecture.modules(PEFT_DEFAULT):
        names = list(PEFT_DEFAULT)
        t.default(key, None, {"model.adapter.target_modules": names}, note)
    else:
        t.no_default(key, None, f"{note}, by the architecture of the base, which is not known "
                     "here: write them as `model.adapter.target_modules`")  # fmt: skip


def attention(t: Translation, key: Key, name: str) -> None:
    """Translate the kernel of attention by its name in transformers."""
    ours = {"flash_attention_2": "flash", "flash_attention_3": "flash", "fa2": "flash",
            "flash_attn": "flash", "sdpa": "sdpa", "eager": "eager", "auto": "auto",
            "disabled": "eager", "xformers": "auto", "flex_attention": "auto"}  # fmt: skip
    if name.startswith("kernels-community/") and "flash" in name:
        name = "flash_attention_2"
    if name in ours:
        t.put(key, {"train.attn_implementation": ours[name]})
    else:
        t.lost(key, f"compute attention with `{name}`", "choose auto, flash, sdpa or eager for "
               "`train.attn_implementation`")  # fmt: skip


def report_to(t: Translation) -> None:
    """Translate the trackers of transformers; others are left out, since a record has it all."""
    names = t.texts("report_to") or []
    known = [name for name in names if name in TRACKERS]
    if known:
        others = f"without {', '.join(sorted(set(names) - set(known)))}" if known != names else None
        t.put("report_to", {"train.report_to": known}, others)
    elif names:
        t.inert("report_to", "a run's record has every step")
    if t.text("logging_dir") and "tensorboard" in known:
        t.put("logging_dir", {"train.logging_dir": t.text("logging_dir")})
    elif t.text("logging_dir"):
        t.inert("logging_dir", "it is for TensorBoard, which is not asked for")


def acceleration(t: Translation, liger: Sequence[str]) -> None:
    """Translate switches to other kernels and to less memory; `liger` are the tool's for Liger."""
    switched = [key for key in liger if t.flag(key)]
    for key in switched:
        note = "norms, SwiGLU and rotary embeddings together" if len(liger) > 2 else None
        t.put(key, {"train.use_liger_kernel": True}, note)
    compiled = t.value("torch_compile") == "auto" or t.flag("torch_compile")
    if compiled and switched:
        t.inert("torch_compile", "Liger's kernels replace the parts that would be compiled")
    elif compiled:
        t.put("torch_compile", {"train.torch_compile": True})
    if t.value("activation_offloading") in OFF:
        return
    if t.draft.get(("train", "gradient_checkpointing")):
        t.put("activation_offloading", {"train.activation_offloading": True})
    else:
        t.inert("activation_offloading", "it goes with `train.gradient_checkpointing`, which is "
                "left out; it saves memory and cannot change a result")  # fmt: skip


def known_steps(t: Translation) -> int | None:
    """Return how many steps are trained, where `max_steps` says so."""
    total: Any = t.draft.get(("train", "max_steps"))
    return total if isinstance(total, int) else None
