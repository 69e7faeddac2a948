"""Quantize a GGUF file to llama.cpp's k-types, by llama.cpp itself."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import gguf

from khichdi.schema.errors import StepError

K_TYPES = {
    "q4_k_m": gguf.LlamaFileType.MOSTLY_Q4_K_M,
    "q5_k_m": gguf.LlamaFileType.MOSTLY_Q5_K_M,
    "q6_k": gguf.LlamaFileType.MOSTLY_Q6_K,
}
"""Types that have several for the matrices of one model; which get which is llama.cpp's choice."""
TOOL = "llama-quantize"


def k_quantizer(kind: str) -> Callable[[Path, Path], None]:
    """Return a function that quantizes one file to another.

    Raises:
        StepError: llama.cpp is not installed.
    """
    tool = shutil.which(TOOL)
    if find_spec("llama_cpp") is not None:
        return lambda source, target: _by_library(source, target, kind)
    if tool is not None:
        return lambda source, target: _by_tool(tool, source, target, kind)
    raise StepError(
        f"{kind} is made by llama.cpp, which is not installed",
        hint="`pip install llama-cpp-python` compiles it, with a C++ compiler and in minutes; a "
        f"`{TOOL}` on the PATH is taken too; q8_0 and f16 need neither",
    )


def _by_library(source: Path, target: Path, kind: str) -> None:
    import llama_cpp

    settings = llama_cpp.llama_model_quantize_default_params()
    settings.ftype = int(K_TYPES[kind])
    status = llama_cpp.llama_model_quantize(
        str(source).encode(), str(target).encode(), ctypes.byref(settings)
    )
    if status or not target.is_file():
        raise StepError(
            f"llama.cpp did not quantize the model to {kind} (status {status})",
            hint="the run's log has what it says; q8_0 and f16 are made without it",
        )


def _by_tool(tool: str, source: Path, target: Path, kind: str) -> None:
    done = subprocess.run(
        [tool, str(source), str(target), kind.upper()],
        capture_output=True, text=True, errors="replace", check=False,
    )  # fmt: skip
    if done.returncode or not target.is_file():
        last = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), "")
        raise StepError(
            f"{TOOL} did not quantize the model to {kind}: {last.strip()[:200]}",
            hint="q8_0 and f16 are made without it",
        )
