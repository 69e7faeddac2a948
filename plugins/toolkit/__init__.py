"""Work with models and text as the built-in plugins do.

    added_token_ids       ids of the tokens that the recipe added to a loaded base
    adapter_tensors       the tensors of a peft model's adapter, by peft's names
    attach_adapter        a trained adapter on its base, for evaluation
    BaseFiles             single tensors of a base as they were before quantization
    BaseWeight            a linear weight of a loaded base, unpacked
    base_config           the `config.json` of a base folder
    bos_of                the token that a tokenizer puts at the start of a text, if any
    before_torch          settings that torch reads when it is imported
    best_device           the GPU that torch would use, else the CPU
    built_architecture    layers and parameters of any base, from its configuration
    check_pattern         refuses a wrong regular expression; Pattern searches in limited time
    content_length        the size that a server states for a file
    dense_experts         quantized experts as what training multiplies by
    described, digest_of  digests of tensors, equal to those of their files
    deterministic         the same bits again on the same kind of hardware
    download              a file over HTTP, resumed and retried, never past its expected size
    encode, encode_all    token ids and labels of rendered rows; IGNORE marks a masked label
    experts_in_4_bits, experts_in_8_bits  what quantizes the experts of a mixture
    exact_match, rouge_l  scores of an answer against references
    Generator             greedy answers, with the shared beginning of prompts computed once
    hub_client, hub_errors  the Hugging Face hub's client, and its exceptions in words
    install               frozen linear layers that are unpacked once where memory allows
    keeping_freed_memory  memory of a CPU kept by the process from step to step
    first_line, scrub     texts of errors without logins, query strings and tokens
    language_identifier   the language of a text, by a model that needs no download
    load_model            a base model, quantized, from verified files
    load_tokenizer        its tokenizer
    quiet                 libraries that print nothing
    same_length           prompts of one length, in batches, which need no padding
    TOKEN_FACTS           file of a base that says which tokens the recipe changes
    tokens_to_train       added tokens that mean nothing until they are trained
    WITHOUT_NETWORK       a hint on what can be done without a network
    why_not_trained_over  the reason against a base that was published quantized
    write_adapter         a trained adapter in peft's format

Importing this brings no library: a name loads its module when it is first used, most of them with
torch, so import them inside methods. Names that are not in `__all__`, and the modules themselves,
may change without notice.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .adapter_files import adapter_tensors, write_adapter
    from .base_weights import BaseFiles
    from .determinism import deterministic
    from .expert_weights import dense_experts, experts_in_4_bits, experts_in_8_bits
    from .frozen_linear import BaseWeight, install
    from .generation import Generator, same_length
    from .http_download import content_length, download
    from .hub import hub_client, hub_errors
    from .language_identification import language_identifier
    from .malloc import keeping_freed_memory
    from .meta_model import built_architecture
    from .model_loading import attach_adapter, base_config, best_device, load_model
    from .offline import WITHOUT_NETWORK
    from .patterns import Pattern, check_pattern
    from .quantized_bases import why_not_trained_over
    from .scrubbing import first_line, scrub
    from .tensors import described, digest_of
    from .text_metrics import exact_match, rouge_l
    from .token_changes import TOKEN_FACTS, tokens_to_train
    from .token_rows import added_token_ids
    from .tokenization import IGNORE, bos_of, encode, encode_all, load_tokenizer, quiet
    from .torch_environment import before_torch

__all__ = [
    "IGNORE",
    "TOKEN_FACTS",
    "WITHOUT_NETWORK",
    "BaseFiles",
    "BaseWeight",
    "Generator",
    "Pattern",
    "adapter_tensors",
    "added_token_ids",
    "attach_adapter",
    "base_config",
    "before_torch",
    "best_device",
    "bos_of",
    "built_architecture",
    "check_pattern",
    "content_length",
    "dense_experts",
    "described",
    "deterministic",
    "digest_of",
    "download",
    "encode",
    "encode_all",
    "exact_match",
    "experts_in_4_bits",
    "experts_in_8_bits",
    "first_line",
    "hub_client",
    "hub_errors",
    "install",
    "keeping_freed_memory",
    "language_identifier",
    "load_model",
    "load_tokenizer",
    "quiet",
    "rouge_l",
    "same_length",
    "scrub",
    "tokens_to_train",
    "why_not_trained_over",
    "write_adapter",
]

_MODULES = {
    "BaseFiles": "base_weights",
    "BaseWeight": "frozen_linear",
    "Generator": "generation",
    "IGNORE": "tokenization",
    "Pattern": "patterns",
    "TOKEN_FACTS": "token_changes",
    "WITHOUT_NETWORK": "offline",
    "adapter_tensors": "adapter_files",
    "added_token_ids": "token_rows",
    "attach_adapter": "model_loading",
    "base_config": "model_loading",
    "before_torch": "torch_environment",
    "best_device": "model_loading",
    "bos_of": "tokenization",
    "built_architecture": "meta_model",
    "check_pattern": "patterns",
    "content_length": "http_download",
    "dense_experts": "expert_weights",
    "described": "tensors",
    "deterministic": "determinism",
    "digest_of": "tensors",
    "download": "http_download",
    "encode": "tokenization",
    "encode_all": "tokenization",
    "experts_in_4_bits": "expert_weights",
    "experts_in_8_bits": "expert_weights",
    "exact_match": "text_metrics",
    "first_line": "scrubbing",
    "hub_client": "hub",
    "hub_errors": "hub",
    "install": "frozen_linear",
    "keeping_freed_memory": "malloc",
    "language_identifier": "language_identification",
    "load_model": "model_loading",
    "load_tokenizer": "tokenization",
    "quiet": "tokenization",
    "rouge_l": "text_metrics",
    "same_length": "generation",
    "scrub": "scrubbing",
    "tokens_to_train": "token_changes",
    "why_not_trained_over": "quantized_bases",
    "write_adapter": "adapter_files",
}


def __getattr__(name: str) -> Any:
    """Return a name of `__all__` from its module."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULES[name]}", __name__), name)
