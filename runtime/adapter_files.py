"""Adapter files in peft's format, and their digest."""

from __future__ import annotations

from pathlib import Path

from ..schema.digest import digest, safetensors_digest
from ..schema.document import parse_json

WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"


def adapter_digest(folder: Path) -> str:
    """Return the digest of an adapter: its tensors and its config, less peft's own version."""
    config = parse_json((folder / CONFIG).read_bytes())
    config.pop("peft_version", None)
    tensors = safetensors_digest(folder / WEIGHTS)
    return digest("adapter", {"tensors": tensors, "config": config})
