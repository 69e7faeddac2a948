"""Parameters of other tools that a recipe does not have, and why.

A paragraph starts with `- REASON` where it cannot change a result here, or with `! EFFECT | ADVICE`
where it would. The names follow, on a line for each group of tools (by their letters). A
name may end in `*`.
"""

from __future__ import annotations

UNMAPPED = r"""
- a run's record has every step, and `train.report_to` names the trackers that are shown them
AH logging_steps
A log_level include_tokens_per_second profiler_steps profiler_steps_start hf_mlflow_log_artifacts
H logging_* log_* disable_tqdm plot_loss include_* skip_memory_metrics

- a tracker is set up by its own environment variables, such as WANDB_PROJECT
A wandb_* mlflow_* trackio_* comet_* use_comet swanlab_* use_swanlab use_otel_metrics otel_*
H project project_name trackio_* swanlab_* use_swanlab

- runs go to the store (`recipe run --store DIR`)
AHTU output_dir

- `recipe run --workers N` divides the work on rows over N processes
A dataset_processes dataset_num_proc
HU dataset_num_proc preprocessing_num_workers

- the store keeps the result of every step
A dataset_prepared_path skip_prepare_dataset dataset_keep_in_memory dataset_shard_num
A dataset_shard_idx num_dataset_shards_to_save
H preprocessing_batch_size overwrite_cache cache_dir tokenized_path dataset_streaming streaming
H buffer_size overwrite_output_dir

- training ends with an adapter in the store; uploading it is not part of a recipe
AH hub_model_id hub_strategy hub_revision hub_private_repo
A push_dataset_to_hub hf_use_auth_token
H push_to_hub push_to_hub_* hub_* hf_hub_token ms_hub_token om_hub_token

- `recipe run` trains, and `evaluate` measures
H do_train do_predict do_eval

- how checkpoints are kept cannot change a result; see `train.save_steps`
AHU save_strategy
A save_safetensors save_only_model save_first_step
H save_only_model save_on_each_node save_safetensors enable_jit_checkpoint
H restore_callback_states_from_checkpoint

- a recipe is always checked in full
A strict debug axolotl_config_path is_preprocess

- the adapter knows the kind of each layer
A lora_fan_in_fan_out

- the architecture comes with `model.base`
R lora_task_type
A model_type type_of_model model_config_type is_llama_derived_model is_falcon_derived_model
A is_mistral_derived_model is_qwen_derived_model

- the tokenizer comes with `model.base`; slow and fast ones give the same tokens
A tokenizer_type tokenizer_use_fast tokenizer_legacy
H use_fast_tokenizer

- the machine and `recipe run --launch` decide where work is done
A local_rank world_size ddp ddp_timeout ddp_bucket_cap_mb ddp_broadcast_buffers device device_map
A ddp_find_unused_parameters max_memory gpu_memory_limit low_cpu_mem_usage lora_on_cpu
H ddp_* local_rank use_cpu no_cuda low_cpu_mem_usage average_tokens_across_devices
H accelerator_config full_determinism
L quantization_device_map print_param_status
R bnb_4bit_quant_storage ignore_bias_buffers dataset_batch_size num_of_sequences

- `recipe run --launch N[,strategy=fsdp]` spreads a training over N GPUs, with the bits of one;
    multiply `train.gradient_accumulation_steps` by N to keep the batch that N GPUs have there
AH deepspeed fsdp fsdp_*
A zero* tensor_parallel_size context_parallel_size sequence_parallel_degree dp_*
H parallelism_config
L ray_*

- packs are as long as they are; padding is never trained on
A pad_to_sequence_len pad_packed_tensor_to_multiple_of
H pad_token pad_to_multiple_of ignore_pad_token_for_loss

- the plan makes the packs, with other borders between the same samples
A sample_packing_* multipack_real_batches total_num_tokens total_supervised_tokens

- the validation loss is per token, whatever the batches
A eval_batch_size eval_sample_packing eval_table_size eval_max_new_tokens eval_accumulation_steps
A eval_table_max_new_tokens
H per_device_eval_batch_size eval_accumulation_steps eval_delay eval_on_start prediction_loss_only
H eval_do_concat_batches eval_use_gather_object batch_eval_metrics bf16_full_eval fp16_full_eval
H eval_packing

- the lowest validation loss is the best
AH greater_is_better

- the runtime fixes how it rounds
AH tf32
L upcast_layernorm upcast_lmhead_output

- how batches reach the device cannot change a result
A dataloader_pin_memory dataloader_prefetch_factor dataloader_drop_last remove_unused_columns
H dataloader_* remove_unused_columns ignore_data_skip torch_empty_cache_steps label_names
H length_column_name

- `train.torch_compile` has one backend and one mode
AH torch_compile_*

- the loss is computed in chunks here, without the logits of all tokens at once
A liger_cross_entropy liger_fused_linear_cross_entropy flash_attn_cross_entropy
A unsloth_cross_entropy_loss cut_cross_entropy chunked_cross_entropy

- other kernels for the same model: at most the rounding differs; see `train.use_liger_kernel`
A liger_* flash_attn_rms_norm flash_attn_fuse_qkv flash_attn_fuse_mlp flash_optimum
A unsloth_lora_* unsloth_rms_norm unsloth_rope lora_mlp_kernel lora_qkv_kernel lora_o_kernel
A lora_embedding_kernel use_kernels use_scattermoe use_sonicmoe fused_attn_kernel
A flex_attn_compile_kwargs experimental_skip_move_to_device experts_implementation
H liger_kernel_config use_unsloth use_v1_kernels padding_free

- it saves memory and cannot change a result
A gradient_checkpointing_kwargs gc_steps
H gradient_checkpointing_kwargs gradient_checkpointing_use_reentrant use_reentrant_gc
H activation_checkpointing* use_unsloth_gc use_cache use_kv_cache debug

- a run resumes by itself from its newest checkpoint
A auto_resume_from_checkpoints

- code from a repository is never run: a base that needs it cannot be trained here
AHDU trust_remote_code

- it is about what is done after training
A gradio_* merge_lora
L infer_* vllm_* sglang_* offload_folder export_* predict_with_generate do_sample top_p top_k
L num_beams eval_num_beams temperature

- a row is read whole
D preprocess_shards

! start from the weights of an earlier adapter | here an adapter always starts from scratch
A lora_model_dir
L adapter_name_or_path adapter_folder create_new_adapter

! put the adapter on some layers only | name their modules in `model.adapter.target_modules`
A peft_layers_to_transform

! start or shape the adapter in another way | see `model.adapter.init_lora_weights`
A peft_layer_replication peft_autocast_adapter_dtype peft peft_* loftq_*
L pissa_* oft_* module_dropout

! give trained embeddings a learning rate of their own | a recipe trains an adapter only
AL loraplus_lr_embedding

! quantize in another way | see `model.quantization`
A gptq gptq_* bnb_config_kwargs qat quantization model_quantization_config*
L use_kt kt_*

! train in another way than by LoRA | use LoRA
A relora* lisa_* unfrozen_parameters jagged_restart_*
L freeze_trainable_* freeze_extra_modules use_llama_pro galore_* use_galore apollo_* use_apollo
L badam_* use_badam use_adam_mini use_muon mixture_of_depths train_from_scratch

! change the configuration of the base | give a folder with a changed config.json as `model.base`
A model_config overrides_of_model_config rope_scaling rope_theta
LR rope_scaling model_init_kwargs

! change the tokenizer | give a base with such a tokenizer as `model.base`
A added_tokens_overrides resize_token_embeddings_to_32x tokenizer_save_jinja_files
A eot_tokens tokenizer_use_mistral_common
L resize_vocab new_special_tokens_config init_special_tokens
L split_special_tokens

! take the configuration from elsewhere | put all files into one folder as `model.base`
A base_model_config tokenizer_config

! run code from a repository | code from a repository is never run
R model_code_revision base_model_revision

! evaluate on separate data sets | split off a validation set: `mixture.validation`
A test_datasets
L eval_dataset eval_on_each_dataset
R dataset_test_split

! train on plain text | recipes train on answers to instructions
A pretraining_dataset streaming streaming_* pretrain_*
R dataset_text_field

! learn from preferences or rewards | recipes train on answers to instructions
A rl rl_* dpo_* orpo_* kto_* simpo_* cpo_* rpo_* trl reward_model process_reward_model
A max_prompt_len
L pref_* dpo_* kto_* simpo_* ppo_* ref_model ref_model_* reward_model reward_model_* ld_alpha

! train by another method than supervised fine-tuning | a recipe is supervised fine-tuning
L stage

! train on images, video or sound | recipes train on text
A processor_type image_*
L media_dir image_* video_* audio_* crop_to_patches use_audio_in_video freeze_vision_tower
L freeze_multi_modal_projector freeze_language_model

! keep samples in the order of the file | see `mixture.order: by-source`
A curriculum_sampling

! shuffle each data set separately | the mixture is shuffled as a whole
A shuffle_before_merging_datasets

! mix data sets another way | see `mixture.order`
A mixture

! train on the last answer of a conversation only | here every answer is trained on
L mask_history

! drop the start of long samples | see the filter `token-count`
R truncation_mode

! drop or truncate long samples another way | see the filter `token-count`
A min_sample_len

! order rows by a separate seed | there is one `seed` for all
H data_seed

! batch samples of like length | `train.group_by_length` does it without packing
H train_sampling_strategy

! start from a checkpoint of another run | a run resumes by itself from its newest checkpoint
AHT resume_from_checkpoint

! look for a batch size that fits | `recipe plan --device NAME` estimates whether
    `train.micro_batch_size` fits
AH auto_find_batch_size

! shape the optimizer or its schedule in a way that the runtime does not have | leave it out
AH optim_args optim_target_modules
A torchdistx_path adam_epsilon2 adam_beta3 lr_groups embedding_lr embedding_lr_scale lr_div_factor
A lr_quadratic_warmup cosine_constant_lr_ratio

! change the loss | leave it out
AH label_smoothing_factor
A eaft_* use_dynamic_finetuning
L moe_aux_loss_coef use_dft_loss
R loss_type

! train on longer contexts than the base's | keep `train.sequence_len` within the base's
A s2_attention shift_attn use_pose pose_*
L shift_attn

- it measures more than the loss while training, and changes no weight; see `evaluate`
A do_causal_lm_eval eval_causal_lm_metrics bench_dataset bench_split eval_causal_lm_*
L compute_accuracy

! change the chat template | see `train.template: {use: chat}`
AD chat_template_jinja
RH chat_template_path chat_template
L tool_format enable_thinking

! load code that changes training | leave it out, or write a plugin
A plugins

! change how data is loaded | set it under `data`
R dataset_kwargs

! train in 8-bit floats | see `model.quantization`
L fp8 fp8_*

! read one of several pieces of the data | see `data.NAME.sample`
D shards shards_idx

! read or render rows another way | see `data.NAME.read` and `train.template`
D field_system field_tools field_thinking template_thinking_key message_* roles_to_train
D train_on_eos input_format input_transform system_format split_thinking
D logprobs_field roles temperature conversation
"""
