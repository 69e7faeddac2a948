"""The exporter `my-plugin`."""

from __future__ import annotations

from khichdi.plugins import Exporter, ExportJob, Params
from pydantic import Field


class MyPluginParams(Params):
    """Parameters of `my-plugin`; every field has a description."""

    note: str = Field("", description="Note for users of the adapter.")


class MyPlugin(Exporter[MyPluginParams]):
    """Copy the adapter beside a card that names its base."""

    name = "my-plugin"

    def export(self, job: ExportJob) -> None:
        """Write the adapter's files and README.md."""
        for path in sorted(job.adapter.iterdir()):
            (job.output / path.name).write_bytes(path.read_bytes())
        card = f"An adapter for {job.base_name}. {self.params.note}".strip() + "\n"
        (job.output / "README.md").write_text(card, encoding="utf-8")
