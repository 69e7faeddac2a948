"""The architecture of any causal model of transformers, from its configuration alone.

The model is built on torch's meta device, where tensors have shapes and no bytes, so a base of any
size takes a moment and no memory, and its parameters are counted exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...schema.architecture import Architecture, Linear

OUTPUTS = frozenset({
    "c_proj", "dense", "dense_4h_to_h", "down_proj", "fc2", "fc_out", "o_proj", "out_proj",
    "output_linear", "w2", "wo",
})  # fmt: skip
"""Names of modules that read what attention or the MLP made; the others read the hidden state."""
MIXERS = ("attn", "attention", "conv", "mamba", "mixer", "ssm")
"""Parts of the names of modules that mix tokens, as opposed to the MLP."""


def built_architecture(config: Mapping[str, Any]) -> Architecture | None:
    """Return the architecture that a `config.json` describes.

    None where transformers is not installed, does not know the type or cannot build it, or where
    the model is not a stack of layers between an embedding and a head.
    """
    try:
        model = _on_meta(config)
    except Exception:  # whatever transformers makes of a stranger's configuration
        return None
    return None if model is None else _described(model)


def _on_meta(config: Mapping[str, Any]) -> Any:
    try:
        import torch
        from transformers import AutoConfig, AutoModelForCausalLM
    except ModuleNotFoundError:
        return None
    from .tokenization import quiet

    known = {name: value for name, value in config.items() if name != "quantization_config"}
    with quiet(), torch.device("meta"):
        made = AutoConfig.for_model(**known)
        return AutoModelForCausalLM.from_config(made, trust_remote_code=False)


def _described(model: Any) -> Architecture | None:
    config = model.config.get_text_config()
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    path, layers = _stack(model)
    if embedding is None or head is None or not layers:
        return None
    vocab, hidden = (int(size) for size in embedding.weight.shape)
    linears = _linears(layers, hidden)
    heads = _number(config, "num_attention_heads") or 1  # none where only a state mixes tokens
    facts: dict[str, Any] = {
        "model_type": str(model.config.model_type),
        "layers": len(layers),
        "hidden": hidden,
        "heads": heads,
        "kv_heads": _number(config, "num_key_value_heads") or heads,
        "head_dim": _number(config, "head_dim") or hidden // heads,
        "intermediate": _intermediate(config, linears, hidden),
        "vocab": vocab,
        "tied": head.weight is embedding.weight,
        "max_positions": _number(config, "max_position_embeddings"),
        "window": _window(config),
        "linears": linears,
        "layer_path": path,
        "head": _path_of(model, head).rpartition(".")[2],
        "embedding": _path_of(model, embedding).rpartition(".")[2],
        "gated": any("gate" in linear.name for linear in linears),
        "qk_norm": any(name.endswith("q_norm") for name, _ in layers[0].named_modules()),
        "norms": 0,
        "experts": _active_experts(config, layers),
    }
    counted = Architecture(**facts)
    rest = sum(parameter.numel() for parameter in model.parameters()) - counted.parameters
    return Architecture(**facts, rest=rest) if linears and rest >= 0 else None


def _stack(model: Any) -> tuple[str, Any]:
    """Return the path and the layers of the largest list of modules: the decoder's."""
    import torch

    lists = [
        (sum(parameter.numel() for parameter in module.parameters()), name, module)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.ModuleList)
    ]
    _, name, module = max(lists, key=lambda found: found[0], default=(0, "", ()))
    return name, module


def _linears(layers: Any, hidden: int) -> tuple[Linear, ...]:
    """Return the linear modules of all layers, equal ones at the same path once."""
    import torch
    from transformers.pytorch_utils import Conv1D

    found: dict[tuple[str, int, int, bool], list[int]] = {}
    for number, layer in enumerate(layers):
        for path, module in layer.named_modules():
            if isinstance(module, torch.nn.Linear):
                outputs, inputs = module.weight.shape
            elif isinstance(module, Conv1D):
                inputs, outputs = module.weight.shape
            else:
                continue
            shape = (path, int(inputs), int(outputs), module.bias is not None)
            found.setdefault(shape, []).append(number)
    return tuple(
        Linear(
            path=path,
            inputs=inputs,
            outputs=outputs,
            reads=_reads(path, inputs, hidden),
            bias=bias,
            layers=None if len(numbers) == len(layers) else tuple(numbers),
        )
        for (path, inputs, outputs, bias), numbers in found.items()
    )


def _reads(path: str, inputs: int, hidden: int) -> str:
    """Return which tensor a module reads, as `Linear.reads` names it."""
    mixes = any(part in path.lower() for part in MIXERS)
    first = inputs == hidden and path.rpartition(".")[2] not in OUTPUTS
    if mixes:
        return "attention" if first else "context"
    return "mlp" if first else "middle"


def _intermediate(config: Any, linears: tuple[Linear, ...], hidden: int) -> int:
    """Return the width inside the MLP: what a token sees of it where experts are routed."""
    width, chosen = _number(config, "moe_intermediate_size"), _chosen_experts(config)
    if width and chosen:
        return width * chosen
    middle = [linear.inputs for linear in linears if linear.reads == "middle"]
    return max(middle, default=_number(config, "intermediate_size") or 4 * hidden)


def _window(config: Any) -> int | None:
    """Return the sliding window, where every layer has it."""
    kinds = set(getattr(config, "layer_types", None) or ["sliding_attention"])
    return _number(config, "sliding_window") if kinds == {"sliding_attention"} else None


def _active_experts(config: Any, layers: Any) -> int:
    """Return the weights of routed experts that a token goes through, over all layers.

    transformers keeps the experts of a layer in tensors of three dimensions, experts first.
    """
    chosen, total = _chosen_experts(config), 0
    for layer in layers:
        for parameter in layer.parameters():
            if parameter.dim() == 3 and chosen and parameter.shape[0] >= chosen:
                total += chosen * parameter[0].numel()
    return total


def _chosen_experts(config: Any) -> int:
    """Return how many routed experts each token goes through; 0 where there are none."""
    names = ("num_experts_per_tok", "num_experts_per_token", "moe_topk", "moe_k", "top_k_experts")
    return next((found for name in names if (found := _number(config, name))), 0)


def _number(config: Any, name: str) -> int | None:
    """Return a number of a configuration, the largest where each layer has its own."""
    value = getattr(config, name, None)
    if isinstance(value, list | tuple):
        value = max((one for one in value if isinstance(one, int)), default=None)
    return value if isinstance(value, int) else None


def _path_of(model: Any, module: Any) -> str:
    return next((name for name, found in model.named_modules() if found is module), "lm_head")
