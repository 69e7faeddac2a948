"""Merge an adapter's update into the base weights, and write the model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from khichdi.plugins.kinds import Progress
from khichdi.plugins.toolkit.determinism import deterministic
from khichdi.plugins.toolkit.expert_weights import dense_experts
from khichdi.plugins.toolkit.frozen_linear import BaseWeight
from khichdi.plugins.toolkit.model_loading import attach_adapter, load_model, load_tokenizer, quiet
from khichdi.plugins.toolkit.token_changes import TOKEN_FACTS
from khichdi.schema.errors import StepError

from ..quantizer.none import NoneParams, NoQuantizer

if TYPE_CHECKING:
    from khichdi.plugins.kinds import ExportJob

    from .params import MergedParams

TOKENIZER = (".json", ".model", ".txt", ".jinja", ".tiktoken")
"""Endings of files that a base's tokenizer is made of."""


def merge(params: MergedParams, job: ExportJob) -> None:
    """Write base and adapter as one model; see `Exporter.export`."""
    # One thread: how a product of matrices is rounded depends on their number.
    with quiet(), deterministic(1):
        model = combined(params.onto, params.dtype, job)
        model.save_pretrained(job.output, max_shard_size=int(params.max_shard_gib * 2**30))
    if not _loads_by_itself(model.config):
        shutil.copyfile(job.base / "config.json", job.output / "config.json")
    _same_each_time(job.output, params.dtype)
    _write_tokenizer(job.base, job.output)
    if job.chat_template is not None:
        file = job.output / "chat_template.jinja"
        file.unlink(missing_ok=True)  # a copy of the base's is read-only
        file.write_text(job.chat_template, encoding="utf-8")


def combined(onto: str, dtype: str, job: ExportJob) -> Any:
    """Return base and adapter as one dense model in this type, on `base` or `dequantized`."""
    if onto == "base":
        base = load_model(job.base, NoQuantizer(NoneParams.model_validate({"dtype": dtype})))
    else:
        base = dequantized(load_model(job.base, job.quantizer))
    return merged(attach_adapter(base, job.adapter), getattr(torch, dtype), job)


def dequantized(model: Any) -> Any:
    """Return a model whose quantized linear modules are dense ones.

    The weights are those that training multiplies by, which unpacks in the same way.
    """
    from bitsandbytes.nn import Linear4bit, Linear8bitLt

    packed = [n for n, m in model.named_modules() if isinstance(m, Linear4bit | Linear8bitLt)]
    for name in packed:
        old = model.get_submodule(name)
        weight = BaseWeight(old, model.dtype).dense()
        new = torch.nn.Linear(old.in_features, old.out_features, bias=False, device="meta")
        new.weight = torch.nn.Parameter(weight, requires_grad=False)
        new.bias = old.bias
        model.set_submodule(name, new)
    dense_experts(model)
    _forget_quantization(model)
    return model


def _forget_quantization(model: Any) -> None:
    """Remove the marks of a quantized model, which libraries rely on."""
    for name in ("is_loaded_in_4bit", "is_loaded_in_8bit", "is_quantized"):
        if getattr(model, name, False):
            setattr(model, name, False)
    for owner, name in ((model, "hf_quantizer"), (model.config, "quantization_config")):
        if hasattr(owner, name):
            delattr(owner, name)
    for name in ("quantization_method", "_pre_quantization_dtype"):
        if hasattr(model, name):
            setattr(model, name, None)


def merged(peft: Any, dtype: torch.dtype, job: ExportJob) -> Any:
    """Return the base with the adapter's update in its weights, all in one type.

    peft would round an update to the type of the weights, and then their sum: here the sum alone
    is rounded.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    layers = [module for module in peft.modules() if isinstance(module, BaseTunerLayer)]
    untied = _untie(peft.get_base_model())
    with torch.no_grad():
        for number, layer in enumerate(layers, 1):
            weight = getattr(layer.get_base_layer(), getattr(layer, "parameter_name", "weight"))
            weight.data = weight.data.float()
            layer.merge(safe_merge=False)
            if not torch.isfinite(weight).all():
                raise StepError(
                    f"merged module {number} of {len(layers)} has weights that are not finite",
                    hint="the adapter itself may have such numbers",
                )
            weight.data = weight.data.to(dtype)
            job.report(Progress(number, len(layers), unit="modules"))
        model = peft.unload().to(dtype)
    if untied:
        for config in {id(c): c for c in (model.config, model.config.get_text_config())}.values():
            config.tie_word_embeddings = False
    model.config.dtype = dtype
    return model


def _untie(model: Any) -> bool:
    """Give the head weights of its own where it shares the embedding's and one of them was trained.

    Merged into shared weights, an update of the head would change the embedding too. Returns
    whether they are no longer one.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils import ModulesToSaveWrapper

    ends = (model.get_input_embeddings(), model.get_output_embeddings())
    if not any(isinstance(end, BaseTunerLayer | ModulesToSaveWrapper) for end in ends):
        return False
    embedding, head = (_base_of(end) for end in ends)
    if head.weight is not embedding.weight:
        return False
    head.weight = torch.nn.Parameter(head.weight.detach().clone(), requires_grad=False)
    return True


def _base_of(module: Any) -> Any:
    """Return the module as it was before an adapter was put on it."""
    below = getattr(module, "original_module", module)
    return below.get_base_layer() if hasattr(below, "get_base_layer") else below


def _loads_by_itself(config: Any) -> bool:
    """Return whether transformers finds a causal model by this configuration.

    The text model of some bases has one of its own, which only the whole base's leads to.
    """
    from transformers import AutoModelForCausalLM

    return type(config) in AutoModelForCausalLM._model_mapping


def _same_each_time(folder: Path, dtype: str) -> None:
    """Write the config without the version of the library that wrote it."""
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config.pop("transformers_version", None)
    config.pop("_name_or_path", None)
    config["dtype"] = dtype
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    (folder / "generation_config.json").unlink(missing_ok=True)  # the base's own is copied


def _write_tokenizer(base: Path, output: Path) -> None:
    """Copy the tokenizer's files; a GGUF file has its tokenizer inside."""
    if not any(base.glob("tokenizer*")):
        load_tokenizer(base).save_pretrained(output)
        return
    for path in sorted(base.iterdir()):
        own = path.name in ("config.json", TOKEN_FACTS) or path.name.endswith(".index.json")
        if path.is_file() and path.suffix in TOKENIZER and not own:
            shutil.copyfile(path, output / path.name)
