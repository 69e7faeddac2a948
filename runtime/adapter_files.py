"""Adapter files in peft's format, and their digest."""

from __future__ import annotations

import json
from pathlib import Path

from ..schema.digest import digest, safetensors_digest

WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"


def adapter_digest(folder: Path) -> str:
    """Return the digest of an adapter: its tensors and its config, less peft's own version."""
    config = json.loads((folder / CONFIG).read_text())
    config.pop("peft_version", None)
    tensors = safetensors_digest(folder / WEIGHTS)
    return digest("adapter", {"tensors": tensors, "config": config})
