"""The words of axolotl: those that are translated, those that do nothing here, and the others.

After its configuration models, from 2023 (0.3) to 2026.
"""

from __future__ import annotations

from .terms import read_facts

WORDS = """
base_model base_model_config tokenizer_config revision_of_model model_revision load_in_4bit
load_in_8bit adapter lora_r lora_alpha lora_dropout lora_target_modules lora_target_linear
peft_use_rslora peft_use_dora datasets val_set_size sequence_len sample_packing
group_by_length gradient_accumulation_steps micro_batch_size batch_size
num_epochs max_steps optimizer lr_scheduler learning_rate
weight_decay adam_beta1 adam_beta2 adam_epsilon max_grad_norm warmup_steps warmup_ratio
train_on_inputs bf16 bfloat16 fp16 float16 gradient_checkpointing flash_attention flash_attn
sdp_attention xformers_attention eager_attention attn_implementation eval_steps evals_per_epoch
eval_strategy evaluation_strategy save_steps save_total_limit early_stopping_patience
load_best_model_at_end metric_for_best_model neftune_noise_alpha noisy_embedding_alpha seed
wandb_name special_tokens
shuffle_merged_datasets dataset_exact_deduplication dataloader_num_workers chat_template
excess_length_strategy greater_is_better lr_scheduler_kwargs
"""

INERT = """
wandb_* use_wandb mlflow_* use_mlflow hf_mlflow_log_artifacts comet_* use_comet use_tensorboard
use_trackio trackio_* swanlab_* use_swanlab | a run's record has every step

logging_steps include_tokens_per_second profiler_steps profiler_steps_start | every step is
recorded

output_dir | runs go to the store (`--store DIR`)

dataset_prepared_path skip_prepare_dataset dataset_processes dataset_num_proc
dataset_keep_in_memory dataset_shard_num dataset_shard_idx num_dataset_shards_to_save | the store
keeps every step's result

hub_model_id hub_strategy push_dataset_to_hub hf_use_auth_token hub_revision hub_private_repo | a
finished adapter is handed on by a command of its own

save_safetensors save_only_model saves_per_epoch save_strategy save_first_step | how checkpoints
are kept changes no result

strict debug log_level axolotl_config_path is_preprocess | a recipe is always checked in full

model_type type_of_model is_llama_derived_model is_falcon_derived_model is_mistral_derived_model
is_qwen_derived_model model_config_type | the architecture comes with the base

tokenizer_type tokenizer_use_fast tokenizer_legacy | the tokenizer comes with the base; slow and
fast ones give the same tokens

local_rank world_size ddp ddp_timeout ddp_bucket_cap_mb ddp_broadcast_buffers
ddp_find_unused_parameters device device_map max_memory gpu_memory_limit low_cpu_mem_usage
lora_on_cpu | where the work is done is for the machine

pad_to_sequence_len pad_packed_tensor_to_multiple_of | packs are as long as they are; padding is
never trained on

sample_packing_eff_est sample_packing_group_size sample_packing_bin_size
sample_packing_sequentially sample_packing_mp_start_method multipack_real_batches total_num_tokens
total_supervised_tokens | packs are made by the plan, with other borders between the same samples

eval_batch_size eval_sample_packing eval_table_size eval_max_new_tokens eval_table_max_new_tokens
eval_accumulation_steps | the validation loss is by token, whatever the batches

tf32 | the runtime fixes how it rounds

dataloader_pin_memory dataloader_prefetch_factor dataloader_drop_last remove_unused_columns | how
batches reach the device changes no result

torch_compile torch_compile_backend torch_compile_mode flash_attn_cross_entropy
flash_attn_rms_norm flash_attn_fuse_qkv flash_attn_fuse_mlp flash_optimum
unsloth_cross_entropy_loss unsloth_lora_* unsloth_rms_norm unsloth_rope lora_mlp_kernel
lora_qkv_kernel lora_o_kernel lora_embedding_kernel liger_* | a faster way to the same sums

gradient_checkpointing_kwargs activation_offloading gc_steps | it spares memory and changes no
result

auto_resume_from_checkpoints | an interrupted run resumes by itself

trust_remote_code | no code of a repository is run

gradio_* | it only matters after training

merge_lora | it only matters after training
"""

LOST = """
lora_model_dir | start from the weights of an earlier adapter | recipes always start a new adapter

lora_fan_in_fan_out | transpose the weights of Conv1D layers | the adapter knows the layer's kind
itself; try without

lora_modules_to_save | train embeddings or the head whole, beside the adapter | recipes train
adapters only

lora_bias | train biases | `model.adapter.bias` knows `none`

peft_layers_to_transform | put the adapter on some layers only | name the layers' modules in full
in `model.adapter.target_modules`

peft_layer_replication peft_autocast_adapter_dtype peft_init_lora_weights peft peft_* loftq_* |
start or shape the adapter in another way | use plain LoRA

loraplus_* | give the two halves of the adapter learning rates of their own | use one
`train.learning_rate`

gptq gptq_* bnb_config_kwargs | quantize in another way | see `model.quantization`

relora* | merge and restart the adapter while training | train it once

lisa_* unfrozen_parameters | train some of the base's own weights | recipes train adapters only

model_config overrides_of_model_config rope_scaling rope_theta | change the base's configuration |
give a folder with a changed config.json as `model.base`

tokens added_tokens_overrides resize_token_embeddings_to_32x tokenizer_save_jinja_files | change
the tokenizer's vocabulary | give a base with such a tokenizer

test_datasets | evaluate on data sets of their own | split rows off with `mixture.validation`

pretraining_dataset streaming streaming_* pretrain_* | train on plain text, read as a stream |
recipes learn answers to instructions

rl rl_* dpo_* orpo_* kto_* simpo_* cpo_* rpo_* trl reward_model process_reward_model
max_prompt_len | learn from preferences | recipes learn answers to instructions

curriculum_sampling | keep samples in the order of the file | see `mixture.order: by-source`

resume_from_checkpoint | start from a checkpoint of another run | an interrupted run
resumes by itself

deepspeed fsdp fsdp_* fsdp_config zero* tensor_parallel_size context_parallel_size
sequence_parallel_degree dp_* | share training out to several GPUs, each with batches of its own |
training is on one device; multiply `train.gradient_accumulation_steps` by the number of GPUs

auto_find_batch_size | look for a batch size that fits | `recipe plan --device` shows whether
`train.micro_batch_size` fits

optim_args optim_target_modules torchdistx_path adam_epsilon2 adam_beta3 lr_groups embedding_lr
embedding_lr_scale lr_quadratic_warmup lr_div_factor cosine_min_lr_ratio cosine_constant_lr_ratio
| shape the optimizer or its schedule in a way that the runtime does not know | leave it out

s2_attention shift_attn use_pose pose_* | train for longer contexts than the base's | keep
`train.sequence_len` within the base's

min_sample_len | drop samples with fewer tokens | see the filter `token-count`

do_causal_lm_eval eval_causal_lm_metrics do_bench_eval bench_dataset bench_split eval_causal_lm_*
| measure more than the loss while training | see `evaluate`

loss_watchdog_* | stop when the loss is too high | look at the run's loss curve

float32 | compute in single precision | write `model.quantization.compute_dtype: float32`

default_system_message chat_template_jinja | change the chat template | see `train.template: {use:
chat, system: ...}`

plugins | load code of others that changes training | see which recipe plugins do the same

qat quantization | train for quantization after training | recipes quantize the base while
training

dataset_sampling mixture | weigh data sets | see `mixture.weights`

shuffle_before_merging_datasets | shuffle each data set on its own | the mixture is shuffled as a
whole

label_smoothing_factor chunked_cross_entropy eaft_* use_dynamic_finetuning | change the loss |
leave it out
"""

DATASET_WORDS = """
path name type split train_on_split data_files revision ds_type field_instruction field_input
field_output field_messages chat_template conversation format no_input_format system_prompt
"""
DATASET_INERT = """
trust_remote_code | no code of a repository is run

preprocess_shards | it is about how the data is read, not what
"""
DATASET_LOST = """
shards shards_idx | read one of so many pieces of the data | see `data.NAME.sample`

field field_human field_model field_system field_tools field_thinking template_thinking_key
message_* roles roles_to_train train_on_eos input_format input_transform system_format
drop_system_message split_thinking chat_template_jinja logprobs_field temperature | read or render
rows in a way that goes with another `type` | see the readers in `recipe plugins reader`
"""

FACTS = read_facts(INERT, LOST, WORDS)
DATASET = read_facts(DATASET_INERT, DATASET_LOST, DATASET_WORDS)
