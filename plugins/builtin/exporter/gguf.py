"""Export base and adapter as one GGUF file, the format of llama.cpp."""

from __future__ import annotations

from khichdi.plugins import Exporter, ExportJob

from .params import GgufParams


class Gguf(Exporter[GgufParams]):
    """Merge the adapter into the base, as one GGUF file with the tokenizer."""

    name = "gguf"
    requires = ("torch", "transformers", "peft", "bitsandbytes", "gguf", "numpy")

    def export(self, job: ExportJob) -> None:
        """Write `model.gguf` to `job.output`."""
        from .gguf_file import write

        write(self.params, job)
