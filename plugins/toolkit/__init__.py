"""Work with models and text as the built-in plugins do.

    adapter_tensors       the tensors of a peft model's adapter, by peft's names
    attach_adapter        a trained adapter on its base, for evaluation
    BaseFiles             single tensors of a base as they were before quantization
    BaseWeight            a linear weight of a loaded base, unpacked
    before_torch          settings that torch reads when it is imported
    best_device           the GPU that torch would use, else the CPU
    described, digest_of  digests of tensors, equal to those of their files
    deterministic         the same bits again on the same kind of hardware
    encode, encode_all    token ids and labels of rendered rows; IGNORE marks a masked label
    exact_match, rouge_l  scores of an answer against references
    Generator             greedy answers, with the shared beginning of prompts computed once
    install               frozen linear layers that are unpacked once where memory allows
    keeping_freed_memory  memory of a CPU kept by the process from step to step
    load_model            a base model, quantized, from verified files
    load_tokenizer        its tokenizer
    quiet                 libraries that print nothing
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
    from .frozen_linear import BaseWeight, install
    from .generation import Generator
    from .malloc import keeping_freed_memory
    from .model_loading import attach_adapter, best_device, load_model
    from .tensors import described, digest_of
    from .text_metrics import exact_match, rouge_l
    from .tokenization import IGNORE, encode, encode_all, load_tokenizer, quiet
    from .torch_environment import before_torch

__all__ = [
    "IGNORE",
    "BaseFiles",
    "BaseWeight",
    "Generator",
    "adapter_tensors",
    "attach_adapter",
    "before_torch",
    "best_device",
    "described",
    "deterministic",
    "digest_of",
    "encode",
    "encode_all",
    "exact_match",
    "install",
    "keeping_freed_memory",
    "load_model",
    "load_tokenizer",
    "quiet",
    "rouge_l",
    "write_adapter",
]

_MODULES = {
    "BaseFiles": "base_weights",
    "BaseWeight": "frozen_linear",
    "Generator": "generation",
    "IGNORE": "tokenization",
    "adapter_tensors": "adapter_files",
    "attach_adapter": "model_loading",
    "before_torch": "torch_environment",
    "best_device": "model_loading",
    "described": "tensors",
    "deterministic": "determinism",
    "digest_of": "tensors",
    "encode": "tokenization",
    "encode_all": "tokenization",
    "exact_match": "text_metrics",
    "install": "frozen_linear",
    "keeping_freed_memory": "malloc",
    "load_model": "model_loading",
    "load_tokenizer": "tokenization",
    "quiet": "tokenization",
    "rouge_l": "text_metrics",
    "write_adapter": "adapter_files",
}


def __getattr__(name: str) -> Any:
    """Return a name of `__all__` from its module."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULES[name]}", __name__), name)
