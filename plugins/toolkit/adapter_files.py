"""Write a trained adapter to files, the same bytes for the same weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file


def adapter_tensors(model: Any) -> dict[str, torch.Tensor]:
    """Return the tensors of a peft model's adapter under the names that peft saves them by."""
    from peft import get_peft_model_state_dict

    tensors: dict[str, torch.Tensor] = get_peft_model_state_dict(model, save_embedding_layers=False)
    return tensors


def write_adapter(model: Any, folder: Path, base_name: str) -> None:
    """Write the adapter of a peft model in peft's format; `base_name` is what its config names."""
    config = model.peft_config["default"].to_dict()
    config |= {"base_model_name_or_path": base_name, "inference_mode": True}
    text = json.dumps(config, indent=2, sort_keys=True, default=sorted)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_config.json").write_text(text + "\n", encoding="utf-8")
    tensors = {name: t.contiguous().cpu() for name, t in sorted(adapter_tensors(model).items())}
    # One entry of metadata: with more, safetensors writes them in no stable order.
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
