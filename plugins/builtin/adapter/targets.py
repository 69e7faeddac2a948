"""Which modules of a base get an adapter: parameters, and the modules that they choose."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from khichdi.plugins import ContradictionError
from khichdi.plugins.toolkit.patterns import check_pattern
from khichdi.schema.architecture import ALL_LINEAR
from khichdi.schema.did_you_mean import did_you_mean

MAMBA = frozenset({"falcon_h1", "falcon_mamba", "mamba", "mamba2", "nemotron_h"})
"""Types whose fused kernels read the weight of `out_proj` directly, so peft refuses it."""


def _checked(targets: str | tuple[str, ...]) -> str | tuple[str, ...]:
    """Refuse a text that cannot be an expression over paths."""
    if isinstance(targets, tuple) or targets == ALL_LINEAR:
        return targets
    if re.fullmatch(r"[\w-]+", targets):
        near = targets.lower().startswith("all")
        raise ValueError(
            f"`{targets}` as a regular expression matches one whole path and nothing else: "
            f"{f'did you mean `{ALL_LINEAR}`?' if near else f'write the name as `[{targets}]`'}"
        )
    check_pattern(targets)
    return targets


Names = Annotated[tuple[str, ...], Field(min_length=1)]
TargetModules = Annotated[Literal["all-linear"] | str | Names, AfterValidator(_checked)]
"""`all-linear`, a regular expression over whole paths, or names."""

DESCRIPTION = (
    "Linear modules that get an adapter: `all-linear` (all but the head), a list of names such as "
    "`[q_proj, v_proj]`, or a regular expression that a module's whole path must match, such as "
    r"`.*layers\.[0-3]\..*_proj`."
)


def named(modules: str | tuple[str, ...]) -> Mapping[tuple[str | int, ...], str]:
    """Return the names of modules by their paths; none for a word or an expression."""
    names = () if isinstance(modules, str) else modules
    return {("target_modules", index): name for index, name in enumerate(names)}


def expressions(modules: str | tuple[str, ...]) -> Mapping[tuple[str | int, ...], str]:
    """Return the expression by its path, where modules are chosen by one."""
    if isinstance(modules, tuple) or modules == ALL_LINEAR:
        return {}
    return {("target_modules",): modules}


def chosen_modules(targets: str | tuple[str, ...], model: Any) -> str | list[str]:
    """Return the modules as peft takes them: `all-linear`, an expression, or names in order.

    Raises:
        ContradictionError: the model has no linear module of a name, or none that the expression
            matches.
    """
    linear = [name for name, module in model.named_modules() if is_linear(module)]
    known = sorted({name.rpartition(".")[2] for name in linear})
    hint = f"it has: {', '.join(known)}"
    if isinstance(targets, str):
        if targets != ALL_LINEAR and not any(re.fullmatch(targets, name) for name in linear):
            raise ContradictionError(
                f"target_modules: `{targets}` matches no linear module of the model",
                hint=f"an expression matches whole paths, such as `{linear[0]}`; {hint}",
            )
        return targets
    for name in targets:
        if not any(full == name or full.endswith(f".{name}") for full in linear):
            raise ContradictionError(
                f"target_modules: the model has no linear module named `{name}`",
                hint=f"{did_you_mean(name, known)}{hint}",
            )
    return sorted(targets)


def left_out(targets: str | tuple[str, ...], model: Any) -> list[str] | None:
    """Return modules that `all-linear` does not reach, by path; None where there are none.

    A router that returns more than a product, a linear module of another shape, and the output of
    Mamba layers cannot have a low-rank update; modules that share a weight cannot have two; and
    some have names under which peft does not find an update again.
    """
    if targets != ALL_LINEAR:
        return None
    mamba = getattr(model.config, "model_type", None) in MAMBA
    linear = {name: module for name, module in model.named_modules() if is_linear(module)}
    uses = Counter(id(module.weight) for module in linear.values())
    lost = _not_found_again(list(linear), model)
    found = [
        name
        for name, module in linear.items()
        if not _is_product(module)
        or (mamba and name.endswith("out_proj"))
        or uses[id(module.weight)] > 1
        or name in lost
    ]
    return found or None


def _not_found_again(names: list[str], model: Any) -> set[str]:
    """Return modules whose update is renamed on loading, as if it were of an older checkpoint."""
    import torch

    try:
        from peft import LoraConfig
        from peft.utils.transformers_weight_conversion import (
            convert_peft_adapter_state_dict_for_transformers as converted,
        )
    except ImportError:  # an older peft, which renames nothing
        return set()
    keys = {f"base_model.model.{name}.lora_A.weight": name for name in names}
    state = {key: torch.zeros(1, 1) for key in keys}
    kept = {key.replace(".default.", ".") for key in converted(model, LoraConfig(r=1), state)}
    return {name for key, name in keys.items() if key not in kept}


def is_linear(module: Any) -> bool:
    """Return whether peft counts a module as linear."""
    import torch
    from transformers.pytorch_utils import Conv1D

    return isinstance(module, torch.nn.Linear | Conv1D)


def _is_product(module: Any) -> bool:
    """Return whether a linear module gives the product of what it is given, and that alone."""
    import torch

    plain = type(module).forward is torch.nn.Linear.forward
    if plain or not type(module).__module__.startswith("transformers.models."):
        return True
    weight = module.weight
    try:
        with torch.no_grad():
            out = module(
                torch.zeros(1, 1, weight.shape[1], dtype=weight.dtype, device=weight.device)
            )
    except Exception:  # of another shape than its weight says
        return False
    return isinstance(out, torch.Tensor) and out.shape == (1, 1, weight.shape[0])
