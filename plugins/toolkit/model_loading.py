"""Load tokenizers and causal language models from a folder of verified files.

For runtimes, evaluators and other plugins that work with a model. Import it inside a method: it
imports torch. Nothing here reaches the network, runs code from a model's folder or reads a pickle.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ...schema.errors import StepError
from ..kinds import Quantizer
from .expert_weights import quantize_experts, quantized_on_loading
from .quantized_bases import BITSANDBYTES, UNPACKED_ON_LOADING, method_of, why_not_trained_over
from .token_rows import give_rows
from .tokenization import (
    IGNORE,
    encode,
    encode_all,
    first_line,
    gguf_file,
    load_tokenizer,
    names,
    quiet,
)

__all__ = [
    "IGNORE",
    "attach_adapter",
    "base_config",
    "best_device",
    "encode",
    "encode_all",
    "load_model",
    "load_tokenizer",
    "quiet",
]


def best_device() -> torch.device:
    """Return the GPU that torch would use, else the CPU."""
    return (
        torch.device("cuda", torch.cuda.current_device())
        if torch.cuda.is_available()
        else (torch.device("cpu"))
    )


# ---- model ----------------------------------------------------------------------------------


def load_model(
    folder: Path,
    quantizer: Quantizer[Any],
    *,
    attn_implementation: str | None = None,
    device: torch.device | None = None,
) -> Any:
    """Return the causal language model of a base folder, quantized, in evaluation mode.

    The folder has `config.json` and safetensors, or exactly one GGUF file. Quantized linear
    modules are bitsandbytes' own; the head and embeddings stay in `quantizer.dtype()`. Tokens that
    the recipe adds have rows in both.

    Args:
        folder: the verified files.
        quantizer: how weights are stored, and the type they compute in.
        attn_implementation: a name that transformers knows or that was registered with it; None
            is PyTorch's scaled dot product where the architecture has it, else its own code.
        device: where to put the model; the first GPU, else the CPU.

    Raises:
        StepError: files are missing, unreadable, of another architecture or already quantized.
    """
    device = device or best_device()
    gguf = gguf_file(folder)
    common = {
        "dtype": getattr(torch, quantizer.dtype()),
        "attn_implementation": attn_implementation or _attention(folder, gguf),
        "local_files_only": True,
        "trust_remote_code": False,
    }
    with quiet():
        try:
            if gguf is None:
                _check_config(folder, quantizer)
                model = _load_safetensors(folder, quantizer, device, common)
            else:
                model = _load_gguf(gguf, quantizer, device, common)
            quantize_experts(model, quantizer.experts())
            give_rows(model, folder)
        except Exception as error:  # of any library below, about files they did not write
            raise StepError(
                f"the base model cannot be loaded: {first_line(error)}",
                hint=f"the base has the files {names(folder)}; it needs config.json and "
                "safetensors of an architecture that transformers has, or one GGUF file",
            ) from error
    return model.eval()


def _attention(folder: Path, gguf: Path | None) -> str:
    """Return `sdpa`, or `eager` for an architecture that computes attention in its own way.

    Gemma 2 caps its scores, for one, which PyTorch's kernel does not.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    where = {"gguf_file": gguf.name} if gguf else {}
    try:
        config = AutoConfig.from_pretrained(str(folder), local_files_only=True, **where)
        model = AutoModelForCausalLM._model_mapping[type(config)]
    except Exception:  # loading it says what is wrong
        return "sdpa"
    return "sdpa" if getattr(model, "_supports_sdpa", True) else "eager"


def base_config(folder: Path) -> dict[str, Any] | None:
    """Return the `config.json` of a base folder, or what its GGUF file says in its place.

    None where neither can be read.
    """
    gguf = gguf_file(folder)
    try:
        if gguf is None:
            found = json.loads((folder / "config.json").read_bytes())
        else:
            from transformers import AutoConfig

            with quiet():
                config = AutoConfig.from_pretrained(str(folder), gguf_file=gguf.name)
            found = config.to_dict()
    except Exception:  # loading it says what is wrong
        return None
    return found if isinstance(found, dict) else None


def attach_adapter(model: Any, folder: Path) -> Any:
    """Return the model with the peft adapter of this folder on it, in evaluation mode.

    Raises:
        StepError: the folder has no adapter, or one for another model.
    """
    from peft import PeftModel

    try:
        with quiet():
            return PeftModel.from_pretrained(
                model, str(folder), local_files_only=True, use_safetensors=True
            ).eval()
    except Exception as error:
        raise StepError(
            f"the adapter cannot be loaded: {first_line(error)}",
            hint="it needs adapter_config.json and adapter_model.safetensors of this base",
        ) from error


def _load_safetensors(
    folder: Path, quantizer: Quantizer[Any], device: torch.device, common: dict[str, Any]
) -> Any:
    import transformers

    wanted = quantizer.config()
    published = method_of(base_config(folder) or {})
    unpacking = UNPACKED_ON_LOADING.get(published or "")
    if unpacking is not None:
        common["quantization_config"] = getattr(transformers, unpacking)(dequantize=True)
    elif published != BITSANDBYTES:
        common["quantization_config"] = wanted
    experts = quantizer.experts() if unpacking is None else None
    with quantized_on_loading(experts):
        model, report = transformers.AutoModelForCausalLM.from_pretrained(
            str(folder),
            device_map={"": device},
            use_safetensors=True,
            output_loading_info=True,
            **common,
        )
    missing = sorted(report["missing_keys"])
    if missing:
        # transformers would fill them with random numbers and continue.
        raise ValueError(f"{len(missing)} tensors are missing, such as {missing[0]}")
    if unpacking is not None:
        _quantize_unpacked(model, wanted, device)
    elif wanted is not None and device.type == "cpu":
        _let_go_of_files(model)
    return model


def _let_go_of_files(model: Any) -> None:
    """Copy what was not quantized: a single tensor in a mapped file keeps all of it in memory."""
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.is_floating_point():
            tensor.data = tensor.data.clone()


def _load_gguf(
    gguf: Path, quantizer: Quantizer[Any], device: torch.device, common: dict[str, Any]
) -> Any:
    """Unpack the file to dense weights, then quantize these.

    transformers takes one quantization at a time, and the file's own is one.
    """
    from transformers import AutoModelForCausalLM, GgufConfig

    with _no_bar():
        model = AutoModelForCausalLM.from_pretrained(
            str(gguf.parent),
            gguf_file=gguf.name,
            quantization_config=GgufConfig(dequantize=True),
            **common,
        )
    _quantize_unpacked(model, quantizer.config(), device)
    return model.to(device)


def _quantize_unpacked(model: Any, config: Any, device: torch.device) -> None:
    """Quantize weights that were published in another quantization and are dense now."""
    # What is left of the published one would be taken for the model's own.
    for owner, name in ((model, "hf_quantizer"), (model.config, "quantization_config")):
        if hasattr(owner, name):
            delattr(owner, name)
    if config is not None:
        _quantize(model, config, device)


@contextmanager
def _no_bar() -> Iterator[None]:
    """Keep the one progress bar away that asks no setting of transformers."""
    from transformers import modeling_gguf_pytorch_utils as reader

    bar = getattr(reader, "tqdm", None)
    if bar is None:
        yield
        return
    reader.tqdm = partial(bar, disable=True)
    try:
        yield
    finally:
        reader.tqdm = bar


def _quantize(model: Any, config: Any, device: torch.device) -> None:
    """Replace dense linear modules by bitsandbytes', as loading with the config would."""
    from transformers.integrations.bitsandbytes import replace_with_bnb_linear
    from transformers.quantizers.base import get_keys_to_not_convert

    dense = {n: m for n, m in model.named_modules() if type(m) is torch.nn.Linear}
    replace_with_bnb_linear(
        model,
        modules_to_not_convert=get_keys_to_not_convert(model),
        quantization_config=config,
    )
    for name, old in dense.items():
        new = model.get_submodule(name)
        if new is old:
            continue
        kind, attributes = type(new.weight), dict(new.weight.__dict__)
        attributes["requires_grad"] = False
        # Made on the CPU and moved: the move is when bitsandbytes quantizes.
        new.weight = kind(old.weight.data.cpu(), **attributes).to(device)
        if old.bias is not None:
            new.bias = torch.nn.Parameter(old.bias.data, requires_grad=False)
        old.weight = None
    method = "is_loaded_in_8bit" if config.load_in_8bit else "is_loaded_in_4bit"
    setattr(model, method, True)  # peft chooses its layers by this


def _check_config(folder: Path, quantizer: Quantizer[Any]) -> None:
    path = folder / "config.json"
    if not path.is_file() or not any(folder.glob("*.safetensors")):
        raise ValueError("no config.json with *.safetensors beside it, and no *.gguf")
    config = json.loads(path.read_text(encoding="utf-8"))
    refused = why_not_trained_over(config, quantizer)
    if refused is not None:
        raise ValueError("; ".join(refused))
    if config.get("auto_map") and not _is_known(config):
        raise ValueError("it includes Python code (auto_map), which is never run")


def _is_known(config: dict[str, Any]) -> bool:
    """Return whether transformers has the type itself, whatever code lies beside the weights."""
    from transformers import CONFIG_MAPPING

    return config.get("model_type") in CONFIG_MAPPING
