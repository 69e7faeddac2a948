"""Export base and adapter to another format, by an exporter plugin."""

from __future__ import annotations

import json
from pathlib import Path

from ...plugins.kinds import ExportJob
from ...schema.digest import digest, file_sha256, safetensors_digest
from ...schema.document import parse_json
from .context import Context, Outcome, Produced

CONFIGS = ("config.json", "generation_config.json", "adapter_config.json")
VERSIONS = ("transformers_version", "peft_version")
"""Keys of configurations that say who wrote them, and not what they are of."""


def export(context: Context) -> Outcome:
    """Write the model, with a digest of its tensors and settings."""
    folder, settings = context.output("model"), context.step.settings
    chat_template = settings.get("chat_template")
    context.plugin().export(
        ExportJob(
            base=context.base(),
            base_name=str(settings["base_name"]),
            adapter=context.inputs["adapter"],
            quantizer=context.part("quantizer"),
            output=folder,
            report=context.report,
            chat_template=None if chat_template is None else str(chat_template),
        )
    )
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if not files:
        raise context.fail("the exporter wrote no file")
    return Outcome(
        {"model": Produced(folder, "model", exported_digest(folder))},
        facts={"files": len(files), "bytes": sum(path.stat().st_size for path in files)},
    )


def exported_digest(folder: Path) -> str:
    """Return the digest of exported files: tensors as such, configurations less versions."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    content = {path.relative_to(folder).as_posix(): _content(path) for path in files}
    return digest("export", content)


def _content(path: Path) -> str:
    if path.suffix == ".safetensors":
        return safetensors_digest(path)
    if path.name in CONFIGS:
        config = parse_json(path.read_bytes())
        known = {key: value for key, value in config.items() if key not in VERSIONS}
        # As text: a config may have numbers that canonical JSON has not.
        return digest("config", json.dumps(known, sort_keys=True))
    return file_sha256(path)
