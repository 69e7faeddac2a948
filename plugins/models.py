"""Load tokenizers and causal language models from a folder of verified files.

For runtimes, evaluators and whoever else works with a model. Import it inside a method: it brings
torch. Nothing here reaches the network, runs code from a model's folder or reads a pickle.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ..schema.errors import StepError
from .kinds import Quantizer, Segment

IGNORE = -100
"""The label of a token that the loss does not count."""

_CHATTY = ("transformers", "bitsandbytes", "peft", "accelerate", "huggingface_hub", "gguf")


@contextmanager
def quiet() -> Iterator[None]:
    """Keep warnings and progress bars of the libraries off the user's screen."""
    from transformers import modeling_gguf_pytorch_utils as legacy
    from transformers.utils import logging as chatter

    loggers = [logging.getLogger(name) for name in _CHATTY]
    levels = [logger.level for logger in loggers]
    bars = chatter.is_progress_bar_enabled()
    old_bar = legacy.tqdm
    legacy.tqdm = partial(old_bar, disable=True)  # the one bar that asks nobody
    chatter.disable_progress_bar()
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        legacy.tqdm = old_bar
        if bars:
            chatter.enable_progress_bar()


def best_device() -> torch.device:
    """Return the GPU that torch would use, else the CPU."""
    return (
        torch.device("cuda", torch.cuda.current_device())
        if torch.cuda.is_available()
        else (torch.device("cpu"))
    )


# ---- tokenizer ------------------------------------------------------------------------------


def load_tokenizer(folder: Path) -> Any:
    """Return the tokenizer of a base folder; from the GGUF file where that is all there is.

    Raises:
        StepError: the folder has no tokenizer that transformers can read.
    """
    from transformers import AutoTokenizer

    where: dict[str, Any] = {}
    gguf = _gguf(folder)
    if gguf is not None and not any(folder.glob("tokenizer*")):
        where["gguf_file"] = gguf.name
    try:
        with quiet():
            return AutoTokenizer.from_pretrained(
                str(folder), local_files_only=True, trust_remote_code=False, **where
            )
    except Exception as error:
        raise StepError(
            f"the tokenizer cannot be loaded: {_first_line(error)}",
            hint=f"the base has the files {_names(folder)}; a tokenizer.json is what works best",
        ) from error


def encode(segments: Sequence[Segment], tokenizer: Any) -> tuple[list[int], list[int]]:
    """Return token ids and labels of a rendered row; see `encode_all`."""
    return encode_all([segments], tokenizer)[0]


def encode_all(
    rows: Sequence[Sequence[Segment]], tokenizer: Any
) -> list[tuple[list[int], list[int]]]:
    """Tokenise rendered rows; the one convention for training and for generation.

    - A row starts with the tokenizer's beginning-of-sequence token where the tokenizer itself
      puts one before a text, unless the first segment's text starts with it.
    - Each segment is tokenised alone, so that no token spans what is learnt and what is not.
    - A learnt segment is followed by the end-of-sequence token, unless its text ends with it.
    - Labels are the ids where the segment is learnt, that token included, and -100 elsewhere;
      they are not shifted.

    Returns:
        For each row (input_ids, labels), lists of the same length.
    """
    texts = [segment.text for row in rows for segment in row]
    encoded = iter(tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else [])
    first = _bos_of(tokenizer)
    end, end_text = tokenizer.eos_token_id, tokenizer.eos_token
    result = []
    for row in rows:
        input_ids: list[int] = []
        labels: list[int] = []
        if first is not None and not (row and row[0].text.startswith(tokenizer.bos_token)):
            input_ids, labels = [first], [IGNORE]
        for segment in row:
            ids = list(next(encoded))
            if segment.learn and end is not None and not segment.text.endswith(end_text):
                ids.append(end)
            input_ids += ids
            labels += ids if segment.learn else [IGNORE] * len(ids)
        result.append((input_ids, labels))
    return result


def _bos_of(tokenizer: Any) -> int | None:
    """Return the token that the tokenizer puts before a text by itself, if it does."""
    bos = tokenizer.bos_token_id
    return bos if bos is not None and tokenizer("a")["input_ids"][:1] == [bos] else None


# ---- model ----------------------------------------------------------------------------------


def load_model(
    folder: Path,
    quantizer: Quantizer[Any],
    *,
    attn_implementation: str = "sdpa",
    device: torch.device | None = None,
) -> Any:
    """Return the causal language model of a base folder, quantized, in evaluation mode.

    The folder has `config.json` and safetensors, or exactly one GGUF file. Quantized linear
    modules are bitsandbytes' own; the head and embeddings stay in `quantizer.dtype()`.

    Args:
        folder: the verified files.
        quantizer: how weights are stored, and the type they compute in.
        attn_implementation: a name that transformers knows or that was registered with it.
        device: where to put the model; the first GPU, else the CPU.

    Raises:
        StepError: files are missing, unreadable, of another architecture or already quantized.
    """
    device = device or best_device()
    gguf = _gguf(folder)
    common = {
        "dtype": getattr(torch, quantizer.dtype()),
        "attn_implementation": attn_implementation,
        "local_files_only": True,
        "trust_remote_code": False,
    }
    with quiet():
        try:
            if gguf is None:
                _check_config(folder)
                model = _load_safetensors(folder, quantizer, device, common)
            else:
                model = _load_gguf(gguf, quantizer, device, common)
        except (OSError, ValueError, KeyError, RuntimeError, NotImplementedError) as error:
            raise StepError(
                f"the base model cannot be loaded: {_first_line(error)}",
                hint=f"the base has the files {_names(folder)}; it needs config.json and "
                "safetensors of an architecture that transformers has, or one GGUF file",
            ) from error
    return model.eval()


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
            f"the adapter cannot be loaded: {_first_line(error)}",
            hint="it needs adapter_config.json and adapter_model.safetensors of this base",
        ) from error


def _load_safetensors(
    folder: Path, quantizer: Quantizer[Any], device: torch.device, common: dict[str, Any]
) -> Any:
    from transformers import AutoModelForCausalLM

    model, report = AutoModelForCausalLM.from_pretrained(
        str(folder),
        quantization_config=quantizer.config(),
        device_map={"": device},
        use_safetensors=True,
        output_loading_info=True,
        **common,
    )
    missing = sorted(report["missing_keys"])
    if missing:
        # transformers would fill them with random numbers and go on.
        raise ValueError(f"{len(missing)} tensors are missing, such as {missing[0]}")
    return model


def _load_gguf(
    gguf: Path, quantizer: Quantizer[Any], device: torch.device, common: dict[str, Any]
) -> Any:
    """Unpack the file to dense weights, then quantize these.

    transformers takes one quantization at a time, and the file's own is one.
    """
    from transformers import AutoModelForCausalLM, GgufConfig

    model = AutoModelForCausalLM.from_pretrained(
        str(gguf.parent),
        gguf_file=gguf.name,
        quantization_config=GgufConfig(dequantize=True),
        **common,
    )
    # What is left of the file's quantization would be taken for the model's own.
    for owner, name in ((model, "hf_quantizer"), (model.config, "quantization_config")):
        if hasattr(owner, name):
            delattr(owner, name)
    config = quantizer.config()
    if config is not None:
        _quantize(model, config)
    return model.to(device)


def _quantize(model: Any, config: Any) -> None:
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
        new.weight = kind(old.weight.data.cpu(), **attributes).to(old.weight.device)
        if old.bias is not None:
            new.bias = torch.nn.Parameter(old.bias.data, requires_grad=False)
        old.weight = None
    method = "is_loaded_in_8bit" if config.load_in_8bit else "is_loaded_in_4bit"
    setattr(model, method, True)  # peft chooses its layers by this


def _gguf(folder: Path) -> Path | None:
    found = sorted(folder.glob("*.gguf"))
    if len(found) > 1:
        raise StepError(
            f"the base has {len(found)} GGUF files: {', '.join(path.name for path in found)}",
            hint="say which one with `include:` of the source; split files are not supported",
        )
    return found[0] if found else None


def _check_config(folder: Path) -> None:
    path = folder / "config.json"
    if not path.is_file() or not any(folder.glob("*.safetensors")):
        raise ValueError("no config.json with *.safetensors beside it, and no *.gguf")
    config = json.loads(path.read_text(encoding="utf-8"))
    if config.get("quantization_config"):
        method = config["quantization_config"].get("quant_method", "some method")
        raise ValueError(f"its weights are quantized already ({method}); take the original ones")
    if config.get("auto_map"):
        raise ValueError("it brings Python code of its own (auto_map), which is never run")


def _names(folder: Path) -> str:
    names = sorted(path.name for path in folder.iterdir() if path.is_file())
    return ", ".join(names[:12]) + (", ..." if len(names) > 12 else "") or "none"


def _first_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:300]
