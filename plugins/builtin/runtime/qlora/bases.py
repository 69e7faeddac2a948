"""Decide from a base's configuration how it is trained: packed, unpacked, or not at all.

Packed: all samples of a batch in one row, with kernels that keep each to itself. Unpacked: one row
for each sample, padded, with the model's own attention. Both train on the same tokens. Everything
here is read from `config.json`, without torch. A test holds the tables against a tiny model of
every causal type that transformers has.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from khichdi.plugins import BaseSupport, Quantizer
from khichdi.plugins.toolkit.quantized_bases import why_not_trained_over

if TYPE_CHECKING:
    from .params import QloraParams


def _types(text: str) -> frozenset[str]:
    return frozenset(text.split())


PACKED = _types("""
    afmoe apertus arcee aria_text axk1 beam biogpt bitnet cohere cohere2 cohere2_moe
    cohere_compass_text ctrl cwm dbrx deepseek_v2 deepseek_v3 diffllama dots1 emu3 ernie4_5
    ernie4_5_moe exaone4 exaone_moe flex_olmo flint fuyu gemma gemma2 gemma3 gemma3_text
    gemma3n_text gemma4 gemma4_text gemma4_unified gemma4_unified_text glm glm4 glm4_moe
    glm4_moe_lite got_ocr2 gpt-sw3 gpt2 gpt_bigcode gpt_neox gpt_oss granite granite_swa
    granitemoe granitemoe_swa granitemoeshared helium hrm_text hunyuan_v1_dense hunyuan_v1_moe
    hy_v3 hyperclovax internlm3 iquestcoder jais2 kolibri1 laguna llama longcat_flash mellum
    mimo_v2_flash minicpm3 minimax_m2 minimax_m3_vl_text ministral ministral3 mistral mixtral
    mllama modernbert-decoder moshi moss_transcribe_diarize nanochat olmo olmo2 olmo3 olmoe opt
    persimmon phi phi3 phi4_multimodal phimoe qwen2 qwen2_moe qwen3 qwen3_moe seed_oss smollm3
    solar_open starcoder2 vaultgemma whisper youtu
""")
"""Types that pass the bounds of samples on to attention and take positions from outside."""

UNPACKED = _types("""
    axk2 bailing_hybrid bamba bart bigbird_pegasus blenderbot blenderbot-small bloom blt codegen
    deepseek_v32 deepseek_v4 doge dots3_note dots3_note_text falcon falcon_h1 falcon_mamba git
    glm_moe_dsa gpt_neo gpt_neox_japanese gptj granitemoehybrid hy_v4 inkling2_text inkling_text
    jamba jetmoe kimi_linear lfm2 lfm2_moe lfm3 llama4 llama4_text mamba mamba2 marian mbart
    minimax mpt mvp nemotron nemotron_h olmo_hybrid openai-gpt pegasus plbart qwen3_5
    qwen3_5_moe qwen3_5_moe_text qwen3_5_text qwen3_next qwen4_exp qwen4_exp_text
    recurrent_gemma rwkv stablelm trocr xglm xlstm zamba zamba2 zaya
""")
"""Types with attention, state or positions of their own."""

DECODERS = _types("""
    bert bert-generation big_bird camembert data2vec-text electra ernie megatron-bert rembert
    roberta roberta-prelayernorm roc_bert roformer xlm-roberta xlm-roberta-xl xmod
""")
DECODES_IF = {**dict.fromkeys(DECODERS, "is_decoder"), "xlm": "causal"}
"""Types that see later tokens unless this key of their configuration is true."""

REFUSED = {
    "cpmant": "reads a whole prompt in both directions",
    "gemma3n": "needs the package timm for its images; its text model is of type gemma3n_text",
    "gemma4_assistant": "drafts for another model, whose states it reads",
    "gemma4_unified_assistant": "drafts for another model, whose states it reads",
    "musicgen": "generates audio",
    "musicgen_melody": "generates audio",
    "prophetnet": "predicts several tokens at once",
    "reformer": "trains only on lengths that its chunks divide",
    "xlnet": "sees later tokens",
}
"""Types that are not trained, and why."""

NOT_QUANTIZED = _types("""
    dots3_note dots3_note_text gemma3n_text hy_v4 longcat_flash mamba rwkv
""")
"""Types that take the type of their numbers from weights, which 4 and 8 bits do not have."""

NOT_RECOMPUTED = _types("ctrl gpt_neox_japanese jetmoe openai-gpt xlm")
"""Types without gradient checkpointing."""

IN_PACKS = frozenset({"full_attention", "sliding_attention"})
"""Kinds of layers that the kernels for packs do."""
DROPOUT = (
    "attention_dropout", "attn_pdrop", "attention_probs_dropout_prob", "attention_dropout_prob",
)  # fmt: skip
DROPS = frozenset({"biogpt", "emu3", "gpt-sw3", "gpt2", "gpt_bigcode", "seed_oss"})
"""Packed types whose attention drops out 0.1 where the configuration does not say."""
WINDOW_IN_MASK = frozenset({"olmoe", "phimoe", "qwen2_moe"})
"""Packed types that know of a sliding window by their mask only."""


def support(
    config: Mapping[str, Any],
    params: QloraParams | None = None,
    quantizer: Quantizer[Any] | None = None,
) -> BaseSupport:
    """Return how a base with this `config.json` is trained, or why it is not.

    Args:
        config: the base's configuration.
        params: what the recipe asks of the training; None asks for nothing.
        quantizer: how the recipe stores the base.
    """
    kind = str(config.get("model_type"))
    refused = _why_refused(kind, config, params, quantizer)
    if refused is not None:
        return BaseSupport("refused", *refused)
    if kind not in PACKED | UNPACKED | DECODES_IF.keys():
        return _unknown(kind, config)
    attention = params.attn_implementation if params else "auto"
    why = _why_unpacked(kind, _text(config))
    if why:
        own = "eager" if attention == "eager" else "the model's own"
        return BaseSupport("unpacked", why, attention=own)
    kernels = {"sdpa": "sdpa", "eager": "eager"}.get(attention, "kernels for packs")
    return BaseSupport("packed", attention=kernels)


def _why_refused(
    kind: str,
    config: Mapping[str, Any],
    params: QloraParams | None,
    quantizer: Quantizer[Any] | None,
) -> tuple[str, str] | None:
    """Return why a base is not trained, and a hint; None where nothing is known against it."""
    if kind in REFUSED:
        return f"{kind} {REFUSED[kind]}", "choose a causal language model"
    key = DECODES_IF.get(kind)
    if key is not None and not config.get(key):
        hint = f"a base whose config.json has `{key}: true` can be trained"
        return f"{kind} without `{key}: true` sees later tokens", hint
    if kind == "big_bird" and config.get("attention_type") != "original_full":
        hint = "a base whose config.json has `attention_type: original_full` can be trained"
        return "big_bird sees later tokens in blocks", hint
    if kind in NOT_QUANTIZED and getattr(quantizer and quantizer.params, "bits", None):
        hint = "write `quantization: {use: none}`"
        return f"{kind} reads weights in a way that quantized ones do not allow", hint
    if kind in NOT_RECOMPUTED and params is not None and params.gradient_checkpointing:
        return f"{kind} has no gradient checkpointing", "write `gradient_checkpointing: false`"
    return why_not_trained_over(config, quantizer)


def _text(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the part about the language model."""
    inner = config.get("text_config")
    return {**config, **inner} if isinstance(inner, Mapping) else config


def _why_unpacked(kind: str, config: Mapping[str, Any]) -> str:
    """Return why samples cannot share a row; nothing where they can."""
    if kind not in PACKED:
        return f"{kind} computes attention or states in its own way"
    odd = sorted(set(config.get("layer_types") or ()) - IN_PACKS)
    if odd:
        return f"it has layers of kind {odd[0]}"
    asked = [config[name] for name in DROPOUT if config.get(name) is not None]
    if any(asked) or (kind in DROPS and not asked):
        return "it has dropout inside attention"
    window, positions = config.get("sliding_window"), config.get("max_position_embeddings")
    if kind in WINDOW_IN_MASK and window and window < (positions or window + 1):
        return f"the sliding window of {kind} is in its mask"
    return ""


def _unknown(kind: str, config: Mapping[str, Any]) -> BaseSupport:
    """Return how a type that is in no table is trained: as the installed transformers has it."""
    why = f"{kind} is not among the known types, so the model is checked when it is loaded"
    unpacked = BaseSupport("unpacked", why, attention="the model's own")
    try:
        from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    except ImportError:
        return unpacked
    if kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        return unpacked
    why = f"the installed transformers has no causal language model of type {kind}"
    if config.get("auto_map"):
        why += ", and Python code beside the weights (auto_map) is never run"
    return BaseSupport("refused", why, "choose another base, or install a newer transformers")
