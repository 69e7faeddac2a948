"""LLaMA-Factory's configuration -> a recipe.

Data sets go by names that its `dataset_info.json` describes; who has that file gives it.
"""

from __future__ import annotations

from typing import Any

from ...plugins.registry import UNDECIDED
from ...schema.errors import InputError
from . import llama_factory_v1, training
from . import transformers_arguments as hf
from .chat_formats import SAME_TEMPLATE, template_of
from .mapping import Translation
from .refusals import no_data, refuse
from .sources import LICENSES, data_source, set_name
from .training import real, whole

JOINED: list[dict[str, Any]] = [
    {"use": "render", "instruction": "{instruction}\n{input}", "input": ""},
    {"use": "strip", "fields": ["instruction"]},
]
"""Instruction and input as LLaMA-Factory joins them."""
PICTURES = ("columns.images", "columns.videos", "columns.audios")
"""Keys of a description by which a data set is of pictures or sound."""
DESCRIBED = frozenset(
    {"hf_hub_url", "ms_hub_url", "om_hub_url", "file_name", "formatting", "subset", "split"}
    | {"columns", "tags", "ranking"}
)
"""The keys of a description that are read."""
TAGS = {
    "role_tag": ("from", "role"),
    "content_tag": ("value", "content"),
    "user_tag": ("human", "user"),
    "assistant_tag": ("gpt", "assistant"),
    "system_tag": ("system",),
}
"""Names for the parts of a turn that the reader accepts."""
COLUMNS = {"prompt": "instruction", "query": "input", "response": "output"}


AFTER = "it is about what is done after training"


def translate(t: Translation) -> None:
    """Translate one configuration, of either format."""
    if llama_factory_v1.is_new(t):
        llama_factory_v1.translate(t)
        return
    refusals(t)
    hf.base(t)
    method(t)
    quantization(t)
    datasets(t)
    template(t)
    length(t)
    hf.arguments(t, 5e-5)
    hf.evaluation(t, training.held_out(t, "val_size"))
    if t.value("disable_gradient_checkpointing") is not None:
        on = not t.flag("disable_gradient_checkpointing")
        t.put("disable_gradient_checkpointing", {"train.gradient_checkpointing": on})
    else:
        t.default("disable_gradient_checkpointing", False, {"train.gradient_checkpointing": True})
    if t.value("gradient_checkpointing") is not None:
        t.inert("gradient_checkpointing", "`disable_gradient_checkpointing` decides")
    training.acceleration(t, ("use_liger_kernel", "enable_liger_kernel"))
    if t.value("max_new_tokens") is not None:
        t.inert("max_new_tokens", AFTER)
    if t.text("flash_attn"):
        training.attention(t, "flash_attn", t.text("flash_attn") or "")


def refusals(t: Translation) -> None:
    """Refuse what is not supervised fine-tuning of an adapter on text."""
    stage, kind = t.text("stage"), t.text("finetuning_type")
    if t.text("export_dir") and not t.text("dataset"):
        raise InputError(
            "it merges an adapter into its base, and trains nothing",
            hint="give the configuration of the training",
            file=t.report.file,
        )
    if stage == "pt":
        refuse(t, "stage", "trains on plain text as in pretraining", ("train",))
    elif stage not in (None, "sft"):
        refuse(t, "stage", f"trains by {stage}, from preferences or rewards", ("train",))
    if kind not in (None, "lora"):
        what = {"full": "every weight of the base", "freeze": "some layers of the base"}
        trains = f"trains {what.get(kind, f'an adapter of the kind {kind}')}"
        refuse(t, "finetuning_type", trains, ("model", "adapter"))
    unread = {key for name in t.texts("dataset") or [] for key in _unread(t.data_sets.get(name))}
    if unread.intersection(PICTURES):
        refuse(t, "dataset", "trains on pictures or sound", ("train",))


def method(t: Translation) -> None:
    """Translate stage and adapter."""
    if t.text("stage") == "sft":
        t.inert("stage", "a recipe is supervised fine-tuning")
    kind = t.text("finetuning_type")
    if kind == "lora":
        t.put("finetuning_type", {"model.adapter.use": "lora"})
    elif kind is None:
        t.draft.set(("model", "adapter", "use"), "lora")
    rank = whole(t, "lora_rank", "model.adapter.r") or 8
    t.default("lora_rank", 8, {"model.adapter.r": rank})
    if whole(t, "lora_alpha", "model.adapter.alpha") is None:
        t.default("lora_alpha", 2 * rank, {"model.adapter.alpha": 2 * rank}, "twice the rank")
    real(t, "lora_dropout", "model.adapter.dropout")
    if t.flag("use_rslora"):
        t.put("use_rslora", {"model.adapter.use_rslora": True})
    if t.flag("use_dora"):
        t.put("use_dora", {"model.adapter.use_dora": True})
    if t.number("loraplus_lr_ratio"):
        t.put("loraplus_lr_ratio", {"train.loraplus_lr_ratio": t.number("loraplus_lr_ratio")})
    training.beside(t, "additional_target", "lora_target_parameters")
    _tokens(t)
    names = t.texts("lora_target")
    if names:
        ours = "all-linear" if names == ["all"] else names
        t.put("lora_target", {"model.adapter.target_modules": ours})


def _tokens(t: Translation) -> None:
    """Translate added tokens; where they are resized for, both tables are trained in full."""
    named = {"add_special_tokens": "add_special", "add_tokens": "add"}
    found = {key: names for key in named if (names := t.texts(key))}
    for key, names in found.items():
        t.put(key, {f"model.tokens.{named[key]}": names}, "added where the tokenizer lacks them")
    if not t.flag("resize_vocab"):
        return
    tables = t.texts("additional_target") or ["embed_tokens", "lm_head"]
    t.put("resize_vocab", {"model.adapter.modules_to_save": tables} if found else {})


def quantization(t: Translation) -> None:
    """Translate bits; in 4 bits LLaMA-Factory takes double quantization by itself."""
    bits = t.integer("quantization_bit")
    by = t.text("quantization_method")
    place = "model.quantization"
    if by not in (None, "bnb", "bitsandbytes"):
        t.lost("quantization_method", f"quantize by `{by}`", "bitsandbytes is what there is")
    if bits in (4, 8):
        t.put("quantization_bit", {f"{place}.use": "bitsandbytes", f"{place}.bits": bits})
        if by in ("bnb", "bitsandbytes"):
            t.same("quantization_method", {f"{place}.use": "bitsandbytes"})
    elif bits is not None:
        t.lost("quantization_bit", f"quantize to {bits} bits", "bitsandbytes knows 4 and 8")
    if bits == 4:
        if t.text("quantization_type"):
            t.put("quantization_type", {f"{place}.quant_type": t.text("quantization_type")})
        if t.value("double_quantization") is not None:
            t.put("double_quantization", {f"{place}.double_quant": t.flag("double_quantization")})
        t.default("double_quantization", True, {f"{place}.double_quant": True})
    hf.dtype(t, "by the base's own type")


def datasets(t: Translation) -> None:
    """Translate the data sets by their descriptions."""
    names = t.texts("dataset")
    if not names:
        raise no_data(t, "dataset", "names of data sets")
    taken: set[str] = set()
    ours: dict[tuple[str, ...], Any] = {}
    unknown = []
    for theirs in names:
        name = set_name(theirs, taken)
        found = _one(t, theirs, t.data_sets.get(theirs))
        if found is None:
            unknown.append(theirs)
            found = {"source": {"use": UNDECIDED}, "read": {"use": UNDECIDED}}
        ours |= {("data", name, key): value for key, value in found.items()}
    unread = [f"{name}: {', '.join(keys)}" for name in names
              if (keys := _unread(t.data_sets.get(name)))]  # fmt: skip
    if unknown or unread:
        for place, value in ours.items():
            t.draft.set(place, value)
    if unknown:
        t.lost("dataset", f"read {', '.join(unknown)}, by what its dataset_info.json says of it",
               "give that file by --dataset-info")  # fmt: skip
    elif unread:
        t.lost("dataset", f"read more of the descriptions ({'; '.join(unread)})",
               "see the readers in `recipe plugins reader`")  # fmt: skip
    else:
        t.put("dataset", ours)
    if t.value("dataset_dir") is not None:
        t.same("dataset_dir", {"data": "where files and their descriptions are"})
    count = t.integer("max_samples")
    if count:
        sample = {"use": "slice", "rows": f":{count}"}
        t.put("max_samples", {("data", name, "sample"): dict(sample) for name in sorted(taken)})


def _one(t: Translation, name: str, about: Any) -> dict[str, Any] | None:
    """Return the data set that a description describes, or None where it cannot be read here."""
    if not isinstance(about, dict) or about.get("ranking"):
        return None
    if about.get("hf_hub_url"):
        where = str(about["hf_hub_url"])
        source = data_source(where, split=about.get("split"), config=about.get("subset"))
    elif about.get("file_name"):
        where = f"{t.folder or t.text('dataset_dir') or 'data'}/{about['file_name']}"
        source = data_source(where if where.startswith("/") else f"./{where}")
    else:
        return None
    columns = about.get("columns") or {}
    if about.get("formatting", "alpaca") == "alpaca":
        read: dict[str, Any] = {"use": "alpaca"}
        renamed = {ours: columns[theirs] for theirs, ours in COLUMNS.items()
                   if columns.get(theirs) not in (None, ours)}  # fmt: skip
        read |= {"columns": renamed} if renamed else {}
        read |= {"history": columns["history"]} if columns.get("history") else {}
    else:
        # LLaMA-Factory leaves out conversations that do not end with an answer.
        field = columns.get("messages", "conversations")
        read = {"use": "conversations", "field": field, "unanswered": "drop"}
    found = {"source": source, "read": read}
    return found | ({"license": LICENSES[where]} if where in LICENSES else {})


def _unread(about: Any) -> list[str]:
    """Return the keys of a description that no reader here reads."""
    if not isinstance(about, dict):
        return []
    columns, tags = about.get("columns") or {}, about.get("tags") or {}
    taken = COLUMNS.keys() | {"history", "messages"}
    return sorted(
        [key for key, value in about.items() if value and key not in DESCRIBED]
        + [f"columns.{key}" for key, value in columns.items() if value and key not in taken]
        + [f"tags.{key}" for key, value in tags.items() if value not in TAGS.get(key, ())]
    )


def template(t: Translation) -> None:
    """Translate the template; most of theirs are copies of a model's own chat template."""
    name = t.text("template")
    place = "train.template.use"
    for data in t.draft.data["data"].values():
        if data["read"]["use"] == "alpaca":
            data["filters"] = [dict(step) for step in JOINED]
    base = t.text("model_name_or_path") or ""
    found = template_of(t.tool, name, base) if name else None
    if name is None:
        t.draft.set(("train", "template", "use"), "chat")
        t.no_default("template", None, "LLaMA-Factory looks for a template by the tokenizer; see "
                     "that its own chat template, which is taken here, is the same")  # fmt: skip
    elif name == "alpaca":
        note = "input below the instruction, as LLaMA-Factory has it; it learns two line breaks at "
        t.put("template", {place: "alpaca", "train.template.preamble": True},
              note + "the end of answers, too")  # fmt: skip
    elif found:
        note = "the format of LLaMA-Factory's" if "jinja" in found else "the tokenizer's own"
        t.put("template", {("train", "template", n): v for n, v in found.items()}, note, note)
    else:
        t.undecided("train.template", f"LLaMA-Factory renders by its template `{name}`")
        t.lost("template", f"render rows as LLaMA-Factory's `{name}` does",
               SAME_TEMPLATE.format(text="its Jinja text"))  # fmt: skip
    if t.text("default_system"):
        if t.draft.get(("train", "template", "use")) == "chat":
            t.put("default_system", {"train.template.system": t.text("default_system")})
        else:
            t.lost("default_system", "start with another sentence", "use the template `chat`")


def length(t: Translation) -> None:
    """Translate length, packing, order and loss mask of samples."""
    whole(t, "cutoff_len", "train.sequence_len",
          "theirs cuts prompt and answer in proportion; here the end is cut")  # fmt: skip
    packing, neat = t.flag("packing"), t.flag("neat_packing")
    if packing:
        t.put(
            "packing",
            {"train.sample_packing": True},
            None if neat else "theirs lets packed samples see one another; here they never do",
        )
    elif packing is False and not neat:
        t.put("packing", {"train.sample_packing": False})
    if neat:
        t.put("neat_packing", {"train.sample_packing": True})
    t.default("packing", False, {"train.sample_packing": False})
    training.by_length(t, packed=bool(packing or neat))
    if t.value("train_on_prompt") is False:
        t.same("train_on_prompt", {"train.template.use": "templates train on answers only"})
    elif t.flag("train_on_prompt"):
        t.put("train_on_prompt", {"train.template.learn": "all"})
    if t.flag("mask_history"):
        t.put("mask_history", {"train.template.learn": "last"})
    mix = t.text("mix_strategy")
    if mix == "concat":
        t.put("mix_strategy", {"mixture.order": "shuffle"})
    elif mix:
        t.lost("mix_strategy", f"mix data sets by `{mix}`, which takes some rows twice or never",
               "see `mixture.order: interleave`")  # fmt: skip
    if t.flag("disable_shuffling"):
        t.put("disable_shuffling", {"mixture.order": "by-source"})
