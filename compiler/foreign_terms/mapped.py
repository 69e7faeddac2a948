"""Parameters of other tools that a recipe has under another name, or in another place.

A line is `PATH[: VALUE][ | note] = NAME:TOOLS …`, with tools by their letters; a longer one
continues below, indented.
"""

from __future__ import annotations

MAPPED = """
model.base = base_model:A model_name_or_path:H model_name:U pretrained_model_name_or_path:H
    checkpoint_dir:T
model.base.revision = model_revision:AH revision_of_model:A
model.quantization: {use: bitsandbytes, bits: 4} = load_in_4bit:AHU
model.quantization: {use: bitsandbytes, bits: 8} = load_in_8bit:AHU
model.quantization.bits = quantization_bit:L
model.quantization.use = quantization_method:L
model.quantization.experts = quantize_moe_experts:A
model.quantization.quant_type = bnb_4bit_quant_type:H quantization_type:L
model.quantization.double_quant = bnb_4bit_use_double_quant:H use_bnb_nested_quant:R
    double_quantization:L
model.quantization.compute_dtype = bnb_4bit_compute_dtype:H compute_dtype:H torch_dtype:H
    dtype:RTU
model.quantization.compute_dtype: bfloat16 = bf16:AH bfloat16:A pure_bf16:L
model.quantization.compute_dtype: float16 = fp16:AH float16:A
model.quantization.compute_dtype: float32 = float32:A
model.adapter.use = adapter:A finetuning_type:L adapter_name:P
model.adapter = use_peft:R peft_config:P
model.adapter.r = lora_rank:LT lora_r:AR rank:T
model.adapter.alpha = lora_alpha:APHTU
model.adapter.dropout = lora_dropout:APHTU
model.adapter.target_modules = lora_target:L lora_target_modules:AR lora_attn_modules:T
model.adapter.target_modules: all-linear = lora_target_linear:A
model.adapter.modules_to_save = lora_modules_to_save:AR additional_target:L modules_to_save:P
model.adapter.target_parameters = lora_target_parameters:AR
model.adapter.bias = lora_bias:AP
model.adapter.init_lora_weights = peft_init_lora_weights:A
model.adapter.use_rslora = peft_use_rslora:A use_rslora:PHU
model.adapter.use_dora = peft_use_dora:A use_dora:PH
model.tokens = special_tokens:A
model.tokens.add = tokens:A add_tokens:L
model.tokens.add_special = add_special_tokens:L
model.tokens.eos_token = eos_token:R
model.adapter.trainable_token_indices = trainable_token_indices:P
data | a mapping of data sets by name = datasets:ART dataset:LT dataset_name:R
data.NAME.source.config = dataset_config:R name:D
data.NAME.source.folder = dataset_dir:L
data.NAME.source.include = train_file:H data_files:D
data.NAME.source.revision = revision:D
data.NAME.source.split = split:D train_on_split:D dataset_train_split:R
data.NAME.source.repo = path:D
data.NAME.source.use = ds_type:D
data.NAME.read = type:D message_property_mappings:D
data.NAME.read.drop_system = drop_system_message:D
data.NAME.read.field = field_messages:D field:D
data.NAME.read.columns = field_instruction:D field_input:D field_output:D message_field_role:D
    message_field_content:D field_human:D field_model:D
data.NAME.sample: {use: random, count: N} = max_samples:L max_train_samples:H
mixture.filters: [{use: exact-duplicates}] = dataset_exact_deduplication:A
mixture.order = shuffle_merged_datasets:A shuffle_dataset:R mix_strategy:L shuffle:T
mixture.order: by-source = disable_shuffling:L
mixture.weights = interleave_probs:L dataset_sampling:A
mixture.validation = val_set_size:A val_size:L test_size:H
train.template | it says which tokens are trained = train_on_inputs:AL train_on_prompt:L
    completion_only_loss:R assistant_only_loss:R
train.template = chat_template:AD template:L prompt_template:T format:D no_input_format:D
train.template.system = default_system:L default_system_message:A system_prompt:D
train.sequence_len = cutoff_len:L max_length:R max_seq_length:RU max_seq_len:T sequence_length:A
    sequence_len:A
train.sample_packing = packing:RL packed:T neat_packing:L multipack:A sample_packing:A
train.packing_strategy = packing_strategy:R
train.micro_batch_size = batch_size:T per_device_train_batch_size:HU per_gpu_train_batch_size:H
    train_batch_size:H micro_batch_size:A
train.gradient_accumulation_steps = gradient_accumulation_steps:AH batch_size:A
    gradient_accumulation:H
train.group_by_length = group_by_length:AH
train.num_epochs = num_train_epochs:HU epochs:T num_epochs:A
train.max_steps = max_steps:AH max_train_steps:H max_steps_per_epoch:T
train.optimizer = optim:HU optimizer:A
train.learning_rate = learning_rate:AH lr:T
train.lr_scheduler = learning_rate_scheduler:H lr_scheduler_type:HU lr_scheduler:A
train.warmup_steps = warmup_steps:AH warmup:A num_warmup_steps:T
train.warmup_ratio = warmup_ratio:AH
train.weight_decay = weight_decay:AH
train.adam_beta1 = adam_beta1:AH adam_beta_1:H
train.adam_beta2 = adam_beta2:AH adam_beta_2:H
train.adam_epsilon = adam_epsilon:AH
train.max_grad_norm = max_grad_norm:AH max_gradient_norm:H gradient_clipping:A clip_grad_norm:T
train.neftune_noise_alpha = neftune_noise_alpha:AH noisy_embedding_alpha:A neft_alpha:L
train.gradient_checkpointing = gradient_checkpointing:AH use_gradient_checkpointing:U
    enable_activation_checkpointing:T disable_gradient_checkpointing:L
train.activation_offloading = activation_offloading:AH
train.torch_compile = torch_compile:AH
train.use_liger_kernel = use_liger_kernel:H enable_liger_kernel:H liger_rope:A liger_rms_norm:A
    liger_layer_norm:A liger_swiglu:A liger_glu_activation:A
train.attn_implementation = attn_implementation:AR
train.attn_implementation: flash = flash_attention:A flash_attn:AL
    use_flash_attention_2:H
train.attn_implementation: sdpa = sdp_attention:A
train.attn_implementation: eager = eager_attention:A
train.attn_implementation: auto = xformers_attention:A
train.eval_steps | a number of optimizer steps = eval_steps:AH eval_strategy:AHU
    evaluation_strategy:AHU
train.save_steps = save_steps:AH
train.saves_per_epoch = saves_per_epoch:A
train.evals_per_epoch = evals_per_epoch:A
train.overlong = excess_length_strategy:A
train.loraplus_lr_ratio = loraplus_lr_ratio:AL
train.lr_scheduler_kwargs = lr_scheduler_kwargs:AH cosine_min_lr_ratio:A
train.loss_watchdog_threshold = loss_watchdog_threshold:A
train.loss_watchdog_patience = loss_watchdog_patience:A
train.save_total_limit = save_total_limit:AH
train.metric_for_best_model: eval_loss = load_best_model_at_end:AH
train.metric_for_best_model = metric_for_best_model:AH
train.early_stopping_patience = early_stopping_patience:A early_stopping_steps:L
train.dataloader_num_workers = dataloader_num_workers:AH
train.report_to = report_to:H use_wandb:A wandb_project:A use_mlflow:A use_tensorboard:A
    use_trackio:A
train.logging_dir = logging_dir:H
seed = seed:AH random_state:U
name = wandb_name:A run_name:H
evaluate = do_bench_eval:A
evaluate: [{use: generate, max_new_tokens: N}] = max_new_tokens:L
"""
