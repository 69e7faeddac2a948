"""Export the model of a finished run to a folder; nothing is trained again.

    merged    base and adapter as one model, for transformers and what reads its format
    gguf      the same as one file, for llama.cpp
    ollama    a GGUF file with a Modelfile: `ollama create NAME -f DIR/Modelfile`
    adapter   the adapter's folder, with tokenizer and model card

Exports are steps: the store keeps their results, and a recipe's `export:` gives the same.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from ..project.export import Exported, export_run
from ..project.run_lookup import open_run
from ..project.units import size
from .arguments import consent_argument, run_argument
from .display import Display
from .output import emit


def arguments(parser: ArgumentParser) -> None:
    """Add the command's arguments."""
    run_argument(parser)
    parser.add_argument(
        "--to", required=True, metavar="FORMAT",
        help="`merged`, `gguf`, `ollama`, `adapter`, or another exporter's name",
    )  # fmt: skip
    parser.add_argument(
        "-o", "--output", required=True, metavar="DIR", help="an empty or new folder to write to"
    )
    parser.add_argument(
        "--quantize", metavar="TYPE", type=str.lower,
        help="for gguf and ollama: f16 (default), bf16, f32, q8_0; q4_k_m, q5_k_m and q6_k by "
        "llama.cpp",
    )  # fmt: skip
    parser.add_argument(
        "--onto", choices=["base", "dequantized"],
        help="merge into the base as downloaded (default), or as it was quantized in training",
    )  # fmt: skip
    consent_argument(parser)


def run(options: Namespace) -> int:
    """Export, and print the files."""
    given = {"outtype": options.quantize, "onto": options.onto}
    params = {name: value for name, value in given.items() if value is not None}
    found = export_run(
        open_run(options.run, store=options.store),
        options.to,
        Path(options.output),
        params,
        Display(options),
        allow_local_plugins=options.allow_local_plugins,
    )
    emit(options, _document(found), _text(found, options.to))
    return 0


def _document(found: Exported) -> dict[str, Any]:
    step = found.step
    return {
        "folder": str(found.folder),
        "files": list(found.files),
        "step": step and {
            "name": step.name, "key": step.result.key, "digest": step.digests(),
            "status": step.status,
        },
    }  # fmt: skip


def _text(found: Exported, to: str) -> str:
    total = sum((found.folder / name).stat().st_size for name in found.files)
    cached = "   (cached)" if found.step and found.step.status == "cached" else ""
    lines = [f"{found.folder}   {len(found.files)} files, {size(total)}{cached}"]
    if to == "ollama":
        lines.append(f"next: ollama create NAME -f {found.folder / 'Modelfile'}")
    return "\n".join(lines)
