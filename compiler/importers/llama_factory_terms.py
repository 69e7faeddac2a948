"""The words of LLaMA-Factory beside those of transformers, from 2023 to 2026."""

from __future__ import annotations

from . import transformers_arguments as hf
from .terms import read_facts

WORDS = f"""{hf.WORDS}
stage finetuning_type lora_rank lora_target quantization_bit quantization_type
double_quantization quantization_method dataset dataset_dir template cutoff_len max_samples
val_size packing neat_packing train_on_prompt mask_history mix_strategy disable_shuffling
flash_attn disable_gradient_checkpointing pure_bf16 default_system
"""

INERT = f"""{hf.INERT}
media_dir image_* video_* audio_* crop_to_patches use_audio_in_video freeze_vision_tower
freeze_multi_modal_projector freeze_language_model | it is about pictures and sound

infer_* vllm_* sglang_* offload_folder export_* predict_with_generate max_new_tokens do_sample
temperature top_p top_k num_beams eval_num_beams | it only matters after training

quantization_device_map print_param_status | where the work is done is for the machine

upcast_layernorm upcast_lmhead_output | the runtime fixes how it rounds
"""

LOST = f"""{hf.LOST}
adapter_name_or_path adapter_folder create_new_adapter | start from the weights of an earlier
adapter | recipes always start a new adapter

additional_target | train embeddings or the head whole, beside the adapter | recipes train adapters
only

loraplus_* | give the two halves of the adapter learning rates of their own | use one
`train.learning_rate`

pissa_* oft_* module_dropout freeze_trainable_* freeze_extra_modules use_llama_pro galore_*
use_galore apollo_* use_apollo badam_* use_badam use_adam_mini use_muon mixture_of_depths | train
in another way than by LoRA | use LoRA

pref_* dpo_* kto_* simpo_* ppo_* ref_model ref_model_* reward_model reward_model_* ld_alpha | learn
from preferences | recipes learn answers to instructions

eval_dataset eval_on_each_dataset | measure on data sets of their own | split rows off with
`mixture.validation`

interleave_probs | weigh data sets | see `mixture.weights`

rope_scaling shift_attn | train for longer contexts than the base's | keep `train.sequence_len`
within the base's

resize_vocab add_tokens add_special_tokens new_special_tokens_config init_special_tokens
split_special_tokens | change the tokenizer | give a base with such a tokenizer

tool_format enable_thinking moe_aux_loss_coef train_from_scratch fp8 fp8_* use_dft_loss
compute_accuracy early_stopping_steps | train in a way that a recipe does not know | leave it out
"""

FACTS = read_facts(INERT, LOST, WORDS)
