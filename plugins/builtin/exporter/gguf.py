"""Export base and adapter as one GGUF file, the format of llama.cpp."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from khichdi.plugins import Exporter, ExportJob, Params


class GgufParams(Params):
    """What the adapter is merged into, and how the result is stored."""

    onto: Literal["base", "dequantized"] = Field(
        "base",
        description=(
            "Weights that the adapter is merged into: the `base` in full precision, as downloaded, "
            "or the quantized weights it was trained on (`dequantized`)."
        ),
    )
    outtype: Literal["f32", "f16", "bf16", "q8_0"] = Field(
        "f16",
        description="Data type of the matrices, by llama.cpp's names; norms and biases are `f32`.",
    )


class Gguf(Exporter[GgufParams]):
    """Merge the adapter into the base, as one GGUF file with the tokenizer."""

    name = "gguf"
    requires = ("torch", "transformers", "peft", "bitsandbytes", "gguf", "numpy")

    def export(self, job: ExportJob) -> None:
        """Write `model.gguf` to `job.output`."""
        from .gguf_file import write

        write(self.params, job)
