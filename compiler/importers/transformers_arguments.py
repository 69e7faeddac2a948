"""The training arguments of transformers, which LLaMA-Factory and TRL both take, and a base."""

from __future__ import annotations

from ...schema.errors import InputError
from . import training
from .mapping import Translation
from .sources import LICENSES, is_local, model_source, recipe_name
from .training import real, whole

WORDS = """
model_name_or_path model_revision seed per_device_train_batch_size gradient_accumulation_steps
num_train_epochs max_steps learning_rate lr_scheduler_type lr_scheduler_kwargs optim warmup_steps
warmup_ratio weight_decay max_grad_norm adam_beta1 adam_beta2 adam_epsilon neftune_noise_alpha
eval_strategy evaluation_strategy eval_steps save_steps save_total_limit load_best_model_at_end
metric_for_best_model greater_is_better dataloader_num_workers bf16 fp16 run_name lora_alpha
lora_dropout use_rslora use_dora gradient_checkpointing group_by_length
"""

INERT = """
output_dir overwrite_output_dir logging_dir | runs go to the store (`--store DIR`)

logging_* log_* report_to disable_tqdm plot_loss include_* project trackio_* project_name
skip_memory_metrics swanlab_* use_swanlab | a run's record has every step

push_to_hub push_to_hub_* hub_* hf_hub_token ms_hub_token om_hub_token | a finished adapter is
handed on by a command of its own

do_train do_eval do_predict | `recipe run` trains, and `evaluate` measures

save_strategy save_only_model save_on_each_node save_safetensors enable_jit_checkpoint
restore_callback_states_from_checkpoint | how checkpoints are kept changes no result

per_device_eval_batch_size eval_accumulation_steps eval_delay eval_on_start eval_do_concat_batches
eval_use_gather_object prediction_loss_only batch_eval_metrics bf16_full_eval fp16_full_eval
eval_packing | the validation loss is by token, whatever the batches

ddp_* local_rank use_cpu no_cuda low_cpu_mem_usage full_determinism average_tokens_across_devices
accelerator_config | where the work is done is for the machine; runs are bit-identical

tf32 | the runtime fixes how it rounds

dataloader_* remove_unused_columns ignore_data_skip torch_empty_cache_steps label_names
length_column_name | how batches reach the device changes no result

gradient_checkpointing_kwargs gradient_checkpointing_use_reentrant use_reentrant_gc
activation_offloading activation_checkpointing* use_unsloth_gc | it spares memory and changes no
result

use_liger_kernel liger_kernel_config enable_liger_kernel torch_compile torch_compile_* use_unsloth
use_v1_kernels padding_free | a faster way to the same sums

dataset_num_proc preprocessing_num_workers preprocessing_batch_size overwrite_cache tokenized_path
cache_dir dataset_streaming streaming buffer_size | how data is read and kept is for the store

trust_remote_code | no code of a repository is run

use_fast_tokenizer | slow and fast tokenizers give the same tokens

pad_token pad_to_multiple_of ignore_pad_token_for_loss | padding is never trained on

use_cache use_kv_cache debug | it changes no result
"""

LOST = """
data_seed | draw the order of rows by a seed of its own | there is one `seed` for all

train_sampling_strategy | batch samples of like length, and so change their order |
`train.group_by_length` does it without packing

label_smoothing_factor | change the loss | leave it out

optim_args optim_target_modules lr_scheduler_kwargs | shape the optimizer or its schedule in a way
that the runtime does not know | leave it out

deepspeed fsdp fsdp_* parallelism_config | share training out to several GPUs, each with batches
of its own | training is on one device; multiply `train.gradient_accumulation_steps` by the number
of GPUs

auto_find_batch_size | look for a batch size that fits | `recipe plan --device` shows whether
`train.micro_batch_size` fits

resume_from_checkpoint | start from a checkpoint of another run | an interrupted run
resumes by itself

"""


def base(t: Translation) -> None:
    """Translate the base model, its revision, and the name of the run."""
    where = t.text("model_name_or_path")
    if where is None:
        raise InputError(
            "`model_name_or_path` is missing, the model to train was expected", file=t.report.file
        )
    local = "a folder is found from the recipe's own" if is_local(where) else None
    source = model_source(where, None)
    t.put("model_name_or_path", {f"model.base.{n}": v for n, v in source.items()}, local, local)
    revision = t.text("model_revision")
    if revision and not is_local(where):
        t.put("model_revision", {"model.base.revision": revision})
    if where in LICENSES:
        t.draft.set(("model", "license"), LICENSES[where], "as its card states")
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
    """Put the type of the calculation; `note` says where the tool's default comes from."""
    quantized = t.draft.get(("model", "quantization", "use")) == "bitsandbytes"
    place = f"model.quantization.{'compute_dtype' if quantized else 'dtype'}"
    if not quantized:
        t.draft.set(("model", "quantization", "use"), "none")
    for key, ours in (("bf16", "bfloat16"), ("pure_bf16", "bfloat16"), ("fp16", "float16")):
        if t.flag(key):
            t.put(key, {place: ours}, "its loss scaling has no counterpart"
                  if ours == "float16" else None)  # fmt: skip
            return
    t.default("bf16", None, {place: "bfloat16"}, note)
