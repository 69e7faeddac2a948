"""The training arguments of transformers, which LLaMA-Factory and TRL both take, and a base."""

from __future__ import annotations

from . import training
from .mapping import Translation
from .sources import is_local, recipe_name
from .training import real, whole


def base(t: Translation) -> None:
    """Translate the base model, its revision, and the name of the run."""
    where = training.base_source(t, "model_name_or_path")
    if t.text("model_revision") and not is_local(where):
        t.put("model_revision", {"model.base.revision": t.text("model_revision")})
    if t.text("run_name"):
        t.put("run_name", {"name": recipe_name(t.text("run_name") or "")})


def arguments(t: Translation, learning_rate: float) -> None:
    """Translate batches, schedule and seed; `learning_rate` is the tool's default."""
    t.draft.set(("train", "use"), "qlora")
    if whole(t, "per_device_train_batch_size", "train.micro_batch_size") is None:
        t.default("per_device_train_batch_size", 8, {"train.micro_batch_size": 8})
    whole(t, "gradient_accumulation_steps", "train.gradient_accumulation_steps")
    whole(t, "max_steps", "train.max_steps")
    training.epochs(t, "num_train_epochs", 3)
    training.optimizer(t, "optim", "adamw_torch_fused")
    if real(t, "learning_rate", "train.learning_rate") is None:
        t.default("learning_rate", learning_rate, {"train.learning_rate": learning_rate})
    training.warmup(t, training.scheduler(t, "lr_scheduler_type", "linear"))
    for key in ("weight_decay", "max_grad_norm", "adam_beta1", "adam_beta2", "adam_epsilon"):
        real(t, key, f"train.{key}")
    if t.number("neftune_noise_alpha"):
        t.put("neftune_noise_alpha", {"train.neftune_noise_alpha": t.number("neftune_noise_alpha")})
    whole(t, "dataloader_num_workers", "train.dataloader_num_workers")
    training.steps_between(t, "save_steps", "save_steps")
    whole(t, "save_total_limit", "train.save_total_limit")
    training.report_to(t)
    if t.integer("seed") is not None:
        t.put("seed", {"seed": t.integer("seed")})
    else:
        t.default("seed", 42, {"seed": 42})


def evaluation(t: Translation, validation: bool) -> None:
    """Translate how often held-out rows are measured, and which weights are kept."""
    strategy = "evaluation_strategy" if t.value("evaluation_strategy") else "eval_strategy"
    keys = (strategy, "eval_steps", "load_best_model_at_end", "metric_for_best_model")
    if not validation:
        for key in keys:
            if t.value(key) is not None:
                t.inert(key, "there is no validation set")
        return
    when = t.text(strategy)
    if when == "steps":
        t.same(strategy, {"train.eval_steps": "given"})
        if not training.steps_between(t, "eval_steps", "eval_steps"):
            steps = int(t.number("logging_steps") or 500)
            t.default("eval_steps", steps, {"train.eval_steps": steps}, "`logging_steps`")
    else:
        if when is not None:
            t.same(strategy, {"train.eval_steps": None}, "the validation loss is computed at each "
                   "epoch's end")  # fmt: skip
        if t.value("eval_steps") is not None:
            t.inert("eval_steps", f"it goes with `{strategy}: steps`")
    _best(t)


def _best(t: Translation) -> None:
    place, metric = "train.metric_for_best_model", t.text("metric_for_best_model")
    if not t.flag("load_best_model_at_end"):
        t.default("load_best_model_at_end", False, {place: None}, "the weights of the last step")
    elif metric in (None, "eval_loss", "loss"):
        t.put("load_best_model_at_end", {place: "eval_loss"})
        if metric:
            t.same("metric_for_best_model", {place: "eval_loss"})
    else:
        t.lost("metric_for_best_model", f"keep the weights with the best `{metric}`",
               f"`{place}` knows `eval_loss`")  # fmt: skip


def dtype(t: Translation, note: str) -> None:
    """Put the type of the calculation; `note` is the origin of the tool's default."""
    quantized = t.draft.get(("model", "quantization", "use")) == "bitsandbytes"
    place = f"model.quantization.{'compute_dtype' if quantized else 'dtype'}"
    if not quantized:
        t.draft.set(("model", "quantization", "use"), "none")
    if t.flag("bf16"):
        t.put("bf16", {place: "bfloat16"})
        return
    if t.flag("pure_bf16"):
        t.lost("pure_bf16", "hold the adapter in bfloat16, too, so that small updates are lost",
               "the adapter is trained in float32; write `bf16: true` there")  # fmt: skip
        t.draft.set(tuple(place.split(".")), "bfloat16")
        return
    if t.flag("fp16"):
        training.half(t, "fp16")
        t.draft.set(tuple(place.split(".")), "bfloat16")
        return
    t.default("bf16", None, {place: "bfloat16"}, note)
