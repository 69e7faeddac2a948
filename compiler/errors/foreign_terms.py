"""Map terms of other tools to the recipe language.

From the configuration models of axolotl, LLaMA-Factory, TRL, transformers, peft, torchtune and
Unsloth. Where a word is as good as ours but means nothing here, `ours` says what stands for it.
"""

from __future__ import annotations

from typing import NamedTuple

TOOLS = {
    "A": "axolotl",
    "L": "LLaMA-Factory",
    "R": "TRL",
    "H": "transformers",
    "P": "peft",
    "T": "torchtune",
    "U": "Unsloth",
}

TABLE = """
base_model                  A   model.base
model_name_or_path          LR  model.base
model_name                  U   model.base
pretrained_model_name_or_path H model.base
checkpoint_dir              T   model.base
model_revision              LR  `revision` of a `huggingface` source in model.base
revision_of_model           A   `revision` of a `huggingface` source in model.base
load_in_4bit                ARHU model.quantization: {use: bitsandbytes, bits: 4}
load_in_8bit                ARHU model.quantization: {use: bitsandbytes, bits: 8}
quantization_bit            L   model.quantization.bits
quantization_method         L   model.quantization.use
bnb_4bit_quant_type         HR  model.quantization.quant_type
quantization_type           L   model.quantization.quant_type
bnb_4bit_use_double_quant   H   model.quantization.double_quant
use_bnb_nested_quant        R   model.quantization.double_quant
double_quantization         L   model.quantization.double_quant
bnb_4bit_compute_dtype      H   model.quantization.compute_dtype
torch_dtype                 HR  model.quantization.compute_dtype
dtype                       RTU model.quantization.compute_dtype
bf16                        AHLR model.quantization.compute_dtype: bfloat16
fp16                        AHLR model.quantization.compute_dtype: float16
lora_rank                   LT  model.adapter.r
lora_r                      AR  model.adapter.r
rank                        T   model.adapter.r
lora_alpha                  PALRTU model.adapter.alpha
lora_dropout                PALRTU model.adapter.dropout
lora_target                 L   model.adapter.target_modules
lora_target_modules         AR  model.adapter.target_modules
lora_target_linear          A   model.adapter.target_modules: all-linear
lora_attn_modules           T   model.adapter.target_modules
lora_bias                   P   model.adapter.bias
peft_use_rslora             A   model.adapter.use_rslora
peft_use_dora               A   model.adapter.use_dora
finetuning_type             L   model.adapter.use
adapter_name                P   model.adapter.use
use_peft                    R   model.adapter
peft_config                 P   model.adapter
datasets                    A   data | a mapping of data sets by name
dataset                     LT  data | a mapping of data sets by name
dataset_name                R   data | a mapping of data sets by name
dataset_config              R   data.NAME.source.config
dataset_dir                 L   data.NAME.source.folder
train_file                  H   data.NAME.source.include
data_files                  A   data.NAME.source.include
train_on_split              A   data.NAME.source.split
dataset_train_split         R   data.NAME.source.split
path                        A   `repo` or `folder` of a source
max_samples                 L   data.NAME.sample: {use: random, count: N}
max_train_samples           H   data.NAME.sample: {use: random, count: N}
dataset_exact_deduplication A   mixture.filters: [{use: exact-duplicates}]
shuffle_merged_datasets     A   mixture.order
disable_shuffling           L   mixture.order: by-source
shuffle                     T   mixture.order
val_set_size                A   mixture.validation
val_size                    L   mixture.validation
test_size                   H   mixture.validation
train_on_inputs             A   train.template | its loss mask is fixed: answers only
train_on_prompt             L   train.template | its loss mask is fixed: answers only
completion_only_loss        R   train.template | its loss mask is fixed: answers only
assistant_only_loss         R   train.template | its loss mask is fixed: answers only
chat_template               ARH train.template
prompt_template             T   train.template
cutoff_len                  L   train.sequence_len
max_length                  R   train.sequence_len
max_seq_length              RU  train.sequence_len
max_seq_len                 T   train.sequence_len
sequence_length             A   train.sequence_len
packing                     RL  train.sample_packing
packed                      T   train.sample_packing
neat_packing                L   train.sample_packing
multipack                   A   train.sample_packing
pad_to_sequence_len         A   nothing: packs are as long as they are
batch_size                  T   train.micro_batch_size
per_device_train_batch_size HLRU train.micro_batch_size
per_gpu_train_batch_size    H   train.micro_batch_size
auto_find_batch_size        H   train.micro_batch_size | a number that fits
train_batch_size            H   train.micro_batch_size
per_device_eval_batch_size  HLRU nothing: evaluation takes train.micro_batch_size
eval_batch_size             A   nothing: evaluation takes train.micro_batch_size
gradient_accumulation       H   train.gradient_accumulation_steps
num_train_epochs            HLRU train.num_epochs
epochs                      T   train.num_epochs
max_train_steps             H   train.max_steps
max_steps_per_epoch         T   train.max_steps
optim                       HLRU train.optimizer
lr                          T   train.learning_rate
learning_rate_scheduler     H   train.lr_scheduler
lr_scheduler_type           HLRU train.lr_scheduler
warmup                      A   train.warmup_steps
num_warmup_steps            T   train.warmup_steps
adam_beta_1                 H   train.adam_beta1
adam_beta_2                 H   train.adam_beta2
max_gradient_norm           H   train.max_grad_norm
gradient_clipping           A   train.max_grad_norm
clip_grad_norm              T   train.max_grad_norm
noisy_embedding_alpha       A   train.neftune_noise_alpha
neft_alpha                  L   train.neftune_noise_alpha
use_gradient_checkpointing  U   train.gradient_checkpointing
enable_activation_checkpointing T train.gradient_checkpointing
disable_gradient_checkpointing L train.gradient_checkpointing
flash_attention             A   train.attn_implementation: flash
flash_attn                  L   train.attn_implementation: flash
sdp_attention               A   train.attn_implementation: sdpa
xformers_attention          A   train.attn_implementation
use_flash_attention_2       H   train.attn_implementation: flash
evals_per_epoch             A   train.eval_steps | a number of steps
eval_strategy               HLRU train.eval_steps | a number of steps
evaluation_strategy         HLRU train.eval_steps | a number of steps
saves_per_epoch             A   train.save_steps | a number of steps
save_strategy               HLRU train.save_steps | a number of steps
load_best_model_at_end      AHLRU train.metric_for_best_model: eval_loss
early_stopping_steps        L   train.early_stopping_patience
preprocessing_num_workers   L   train.dataloader_num_workers
dataset_num_proc            RU  train.dataloader_num_workers
dataset_processes           A   train.dataloader_num_workers
use_rslora                  PLU model.adapter.use_rslora
random_state                U   seed
data_seed                   H   seed
hub_model_id                AHLR nothing: `export:` in a recipe writes merged models
push_to_hub                 HLR nothing: `export:` in a recipe writes merged models
output_dir                  AHLRTU nothing: runs go to the store (`--store DIR`)
dataset_prepared_path       A   nothing: the store keeps every step's result
tokenized_path              L   nothing: the store keeps every step's result
overwrite_output_dir        L   nothing: no run overwrites another
overwrite_cache             L   nothing: the store knows what has changed
resume_from_checkpoint      AHLRT nothing: an interrupted run resumes by itself
logging_steps               AHLRU nothing: every step is recorded
plot_loss                   L   nothing: every run has its loss curve
wandb_project               A   nothing: a run's record has every step
wandb_entity                A   nothing: a run's record has every step
wandb_name                  A   name
wandb_run_id                A   nothing: a run's record has every step
wandb_log_model             A   nothing: a run's record has every step
wandb_watch                 A   nothing: a run's record has every step
run_name                    HLR name
trust_remote_code           AHLRU nothing: no code of a repository is run
tokenizer_type              A   nothing: the tokenizer comes with model.base
model_type                  A   nothing: the architecture comes with model.base
is_llama_derived_model      A   nothing: the architecture comes with model.base
stage                       L   nothing: a recipe is supervised fine-tuning
do_train                    LH  nothing: `recipe run` trains
do_eval                     LH  evaluate
do_sample                   HL  nothing: answers are generated greedily
special_tokens              A   nothing: the tokenizer comes with model.base
deepspeed                   AHL nothing: training is on one device
fsdp                        AH  nothing: training is on one device
strict                      A   nothing: a recipe is always strict
tf32                        AH  nothing: the runtime fixes it, because rounding depends on it
compute_dtype               H   model.quantization.compute_dtype
type                        A   use
"""
"""Their word, whose it is (letters of `TOOLS`), ours, and a note behind ` | `."""


class Word(NamedTuple):
    """What another tool's word is here."""

    tools: tuple[str, ...]
    ours: str


def other_word(name: str, place: str) -> str | None:
    """Return whose word this is and what it is here, seen from a place such as `model.adapter`."""
    word = OTHER_WORDS.get(name)
    if word is None:
        return None
    whose = " and ".join(f"{tool}'s" for tool in word.tools[:2])
    ours, _, note = word.ours.partition(" | ")
    if ours.startswith("nothing: "):
        return f"{whose} word; khichdi has no such parameter: {ours.removeprefix('nothing: ')}"
    if "`" not in ours:
        ours = f"`{ours.removeprefix(f'{place}.') if place else ours}`"
    return f"{whose} word; here it is {ours}{f', {note}' if note else ''}"


def _read(table: str) -> dict[str, Word]:
    words = {}
    for line in table.strip().splitlines():
        name, tools, ours = line.split(None, 2)
        words[name] = Word(tuple(TOOLS[letter] for letter in tools), ours)
    return words


OTHER_WORDS = _read(TABLE)
"""Their word -> whose it is, and ours."""
