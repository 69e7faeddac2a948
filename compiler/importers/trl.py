"""TRL's configuration (ScriptArguments, SFTConfig and ModelConfig in one file) -> a recipe."""

from __future__ import annotations

from . import training
from . import transformers_arguments as hf
from .mapping import Translation
from .refusals import refuse
from .training import real, whole
from .trl_data import datasets

REWARDED = {
    "beta", "reward_funcs", "reward_weights", "num_generations", "max_prompt_length",
    "max_completion_length", "reward_model_path", "precompute_ref_log_probs", "rpo_alpha",
    "desirable_weight", "undesirable_weight", "num_sample_generations",
}  # fmt: skip
"""Keys of the trainers that learn from preferences or rewards."""
CHOOSE = "choose `read` and `train.template`, with `learn: all` for whole texts"
SFT_LOSSES = ("nll", "chunked_nll", "dft")


def translate(t: Translation) -> None:
    """Translate one configuration."""
    refusals(t)
    hf.base(t)
    adapter(t)
    quantization(t)
    datasets(t)
    learnt(t)
    length(t)
    hf.arguments(t, 2e-5)
    hf.evaluation(t, validation=t.draft.has(("mixture", "validation")))
    if t.value("gradient_checkpointing") is not None:
        value = t.flag("gradient_checkpointing")
        t.put("gradient_checkpointing", {"train.gradient_checkpointing": value})
    else:
        t.default("gradient_checkpointing", True, {"train.gradient_checkpointing": True})
    training.acceleration(t, ("use_liger_kernel", "enable_liger_kernel"))
    if t.flag("use_flash_attention_2"):
        training.attention(t, "use_flash_attention_2", "flash_attention_2")
    if t.text("attn_implementation"):
        training.attention(t, "attn_implementation", t.text("attn_implementation") or "")


def refusals(t: Translation) -> None:
    """Refuse what is not supervised fine-tuning of an adapter."""
    for key in sorted(REWARDED & t.parsed.data.keys()):
        refuse(t, key, "trains from preferences or rewards", ("train",))
    if t.text("loss_type") and t.text("loss_type") not in SFT_LOSSES:
        refuse(t, "loss_type", f"trains by the loss {t.text('loss_type')}", ("train",))
    if not t.flag("use_peft"):
        refuse(t, "use_peft", "trains every weight of the base", ("model", "adapter"))


def adapter(t: Translation) -> None:
    """Translate the adapter; without `use_peft` TRL trains every weight."""
    if t.flag("use_peft"):
        t.put("use_peft", {"model.adapter.use": "lora"})
    for key, ours, other in (("lora_r", "r", 16), ("lora_alpha", "alpha", 32)):
        if whole(t, key, f"model.adapter.{ours}") is None:
            t.default(key, other, {f"model.adapter.{ours}": other})
    if real(t, "lora_dropout", "model.adapter.dropout") is None:
        t.default("lora_dropout", 0.05, {"model.adapter.dropout": 0.05})
    if t.flag("use_rslora"):
        t.put("use_rslora", {"model.adapter.use_rslora": True})
    if t.flag("use_dora"):
        t.put("use_dora", {"model.adapter.use_dora": True})
    if t.text("lora_task_type") == "CAUSAL_LM":
        t.inert("lora_task_type", "adapters are for causal language models")
    training.beside(t, "lora_modules_to_save", "lora_target_parameters")
    names = t.texts("lora_target_modules")
    if names:
        every = names == ["all-linear"]
        t.put(
            "lora_target_modules",
            {"model.adapter.target_modules": "all-linear" if every else names},
        )
    else:
        training.target_modules(t, "lora_target_modules", "peft's own choice")


def quantization(t: Translation) -> None:
    """Translate bits and types."""
    place = "model.quantization"
    if t.flag("load_in_4bit"):
        t.put("load_in_4bit", {f"{place}.use": "bitsandbytes", f"{place}.bits": 4})
        if t.text("bnb_4bit_quant_type"):
            t.put("bnb_4bit_quant_type", {f"{place}.quant_type": t.text("bnb_4bit_quant_type")})
        if t.value("use_bnb_nested_quant") is not None:
            nested = t.flag("use_bnb_nested_quant")
            t.put("use_bnb_nested_quant", {f"{place}.double_quant": nested})
    elif t.flag("load_in_8bit"):
        t.put("load_in_8bit", {f"{place}.use": "bitsandbytes", f"{place}.bits": 8})
    for key in ("dtype", "torch_dtype"):
        name = t.text(key)
        if name in ("bfloat16", "float16", "float32"):
            quantized = t.draft.get(("model", "quantization", "use")) == "bitsandbytes"
            ours = f"{place}.{'compute_dtype' if quantized else 'dtype'}"
            t.put(key, {f"{place}.use": "bitsandbytes" if quantized else "none", ours: name})
            for other in ("bf16", "fp16"):
                if t.value(other) is not None:
                    t.inert(other, f"`{key}` says the type")
            return
        if name is not None:
            t.inert(key, "the base's own type; the calculation has one of its own")
    hf.dtype(t, "where `fp16` is not given")


def learnt(t: Translation) -> None:
    """Translate what of a row is learned: of conversations the answers, where TRL is told so."""
    names = list(t.draft.data["data"])
    undecided = [name for name in names if not t.draft.has(("data", name, "read"))]
    if t.flag("assistant_only_loss"):
        read = {"use": "conversations", "field": "messages", "unanswered": "trim"}
        ours = {("data", n, "read", key): value for n in undecided for key, value in read.items()}
        t.put("assistant_only_loss", ours | {("train", "template", "use"): "chat"})
        if t.value("completion_only_loss") is not None:
            t.inert("completion_only_loss", "`assistant_only_loss` is about conversations")
        return
    for name in undecided:
        t.undecided(("data", name, "read"), "the columns of the data set say how")
    reads = {t.draft.get(("data", name, "read", "use")) for name in names}
    if reads == {"conversations"}:
        t.draft.set(("train", "template", "use"), "chat")
        _whole_texts(t)
    elif reads == {"alpaca"} and t.value("completion_only_loss") is not False:
        # Prompts and completions as they stand, the completions learned.
        prompt = {"use": "text", "prompt": "{instruction}"}
        t.draft.set(("train", "template"), prompt)
        if t.value("completion_only_loss") is not None:
            t.same("completion_only_loss", {"train.template.use": "text"})
    else:
        t.undecided("train.template", "the columns of the data set say how")
        _lost_losses(t)


def _whole_texts(t: Translation) -> None:
    """Learn conversations whole, as TRL does unless it is told otherwise."""
    ours = {"train.template.learn": "all"}
    if t.value("assistant_only_loss") is None:
        t.default("assistant_only_loss", False, ours)
    for key in ("assistant_only_loss", "completion_only_loss"):
        if t.value(key) is not None:
            t.put(key, ours)


def _lost_losses(t: Translation) -> None:
    for key in ("assistant_only_loss", "completion_only_loss"):
        if t.value(key) is not None:
            t.lost(
                key, "learn whole texts, or completions just as they stand behind prompts", CHOOSE
            )
    if t.value("assistant_only_loss") is None and t.value("completion_only_loss") is None:
        t.no_default(
            "assistant_only_loss", False, f"TRL looks at the columns of the data set: {CHOOSE}"
        )


def length(t: Translation) -> None:
    """Translate length, packing and order."""
    key = "max_seq_length" if t.value("max_seq_length") is not None else "max_length"
    if whole(t, key, "train.sequence_len") is None:
        t.default("max_length", 1024, {"train.sequence_len": 1024})
    packing, strategy = t.flag("packing"), t.text("packing_strategy")
    if packing is not None:
        t.put("packing", {"train.sample_packing": packing})
    t.default("packing", False, {"train.sample_packing": False})
    if not packing and strategy:
        t.inert("packing_strategy", "nothing is packed")
    elif strategy in ("bfd", "ffd"):
        t.same("packing_strategy", {"train.sample_packing": True}, "what is too long is cut")
    elif strategy == "wrapped":
        t.put("packing_strategy", {"train.packing_strategy": "wrapped"})
    elif strategy:
        t.lost("packing_strategy", "continue a sample in the next pack",
               "samples that are too long are cut; raise `train.sequence_len`")  # fmt: skip
    training.by_length(t, packed=bool(packing))
    _rest(t)


def _rest(t: Translation) -> None:
    if t.text("truncation_mode") == "keep_start":
        t.same("truncation_mode", {"train.sequence_len": "longer samples are truncated at the end"})
    elif t.value("truncation_mode") is not None:
        t.lost("truncation_mode", "cut the start of long samples", "filter them by `token-count`")
    if t.text("loss_type") in ("nll", "chunked_nll"):
        t.inert("loss_type", "a way to the same sums")
    elif t.value("loss_type") is not None:
        t.lost("loss_type", "change the loss", "leave it out")
    if t.text("eos_token"):
        t.put("eos_token", {"model.tokens.eos_token": t.text("eos_token")})
    if t.value("shuffle_dataset") is not None:
        t.inert("shuffle_dataset", "training takes the rows by chance either way")
