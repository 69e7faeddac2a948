"""Export base and adapter as one model that needs neither peft nor bitsandbytes."""

from __future__ import annotations

from khichdi.plugins import Exporter, ExportJob

from .params import MergedParams


class Merged(Exporter[MergedParams]):
    """Merge the adapter into the base, as safetensors for transformers."""

    name = "merged"
    requires = ("torch", "transformers", "peft", "bitsandbytes", "safetensors")

    def export(self, job: ExportJob) -> None:
        """Write config, weights and tokenizer to `job.output`."""
        from .merging import merge

        merge(self.params, job)
