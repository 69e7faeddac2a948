"""axolotl's batches, learning rates and evaluations -> the parameters of `train`."""

from __future__ import annotations

from . import training
from .mapping import Translation
from .training import real, whole

WARMUP = "3 % of the steps, at most 100: beyond 3,333 steps write `warmup_steps: 100`"


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
    _rates(t)
    for key in ("weight_decay", "max_grad_norm", "adam_beta1", "adam_beta2", "adam_epsilon"):
        real(t, key, f"train.{key}")
    for key in ("neftune_noise_alpha", "noisy_embedding_alpha"):
        if t.number(key):
            t.put(key, {"train.neftune_noise_alpha": t.number(key)})


def _rates(t: Translation) -> None:
    """Translate schedule and warm-up, which axolotl rounds down and never has of one step."""
    name = training.scheduler(t, "lr_scheduler", "cosine")
    least = t.number("cosine_min_lr_ratio")
    if least and name == "cosine":
        t.put("cosine_min_lr_ratio", {"train.lr_scheduler": "cosine_with_min_lr",
              ("train", "lr_scheduler_kwargs", "min_lr_rate"): least})  # fmt: skip
    if t.integer("warmup_steps") == 1 and name != "constant":
        note = "axolotl takes 2 steps for 1"
        t.put("warmup_steps", {"train.warmup_steps": 2}, note, note)
    elif t.number("warmup_steps") is not None or t.number("warmup_ratio") is not None:
        training.warmup(t, name, down=True)
    elif name != "constant":
        total = training.known_steps(t)
        ours = {"warmup_steps": min(int(0.03 * total), 100)} if total else {"warmup_ratio": 0.03}
        t.default("warmup_steps", None, {f"train.{key}": n for key, n in ours.items()}, WARMUP)
    if t.number("loraplus_lr_ratio"):
        t.put("loraplus_lr_ratio", {"train.loraplus_lr_ratio": t.number("loraplus_lr_ratio")})
    if t.number(("optim_args", "eps")):
        t.put(("optim_args", "eps"), {"train.adam_epsilon": t.number(("optim_args", "eps"))})
    if t.number("loss_watchdog_threshold"):
        real(t, "loss_watchdog_threshold", "train.loss_watchdog_threshold")
        whole(t, "loss_watchdog_patience", "train.loss_watchdog_patience")
    elif t.value("loss_watchdog_patience") is not None:
        t.inert("loss_watchdog_patience", "it goes with `loss_watchdog_threshold`")


def evaluation(t: Translation) -> None:
    """Translate what is held out, how often it is measured, and which weights are kept."""
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
    if not training.steps_between(t, "save_steps", "save_steps"):
        training.times_per_epoch(t, "saves_per_epoch", "save", _epochs(t))
    whole(t, "save_total_limit", "train.save_total_limit")


def _how_often(t: Translation) -> None:
    if training.steps_between(t, "eval_steps", "eval_steps"):
        if t.value("evals_per_epoch") is not None:
            t.inert("evals_per_epoch", "`eval_steps` goes before it")
    elif t.integer("evals_per_epoch") == 1 and training.known_steps(t) is None:
        t.same("evals_per_epoch", {"train.eval_steps": None}, "each epoch's end")
    else:
        training.times_per_epoch(t, "evals_per_epoch", "eval", _epochs(t))
    for key in ("eval_strategy", "evaluation_strategy"):
        if t.value(key) is not None:
            t.inert(key, "the validation loss is computed every `eval_steps`, or once per epoch")


def _interval(t: Translation, event: str) -> float | None:
    """Return the steps between two events; axolotl makes a share of all steps of times an epoch."""
    times = t.integer(f"{event}s_per_epoch")
    return t.number(f"{event}_steps") or (1 / (times * _epochs(t)) if times else None)


def _epochs(t: Translation) -> float:
    return t.number("num_epochs") or 1


def _best(t: Translation) -> None:
    """Keep the best weights where axolotl does: saved and measured in step, and asked for."""
    place, metric = "train.metric_for_best_model", t.text("metric_for_best_model")
    saved, measured = _interval(t, "save"), _interval(t, "eval")
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
