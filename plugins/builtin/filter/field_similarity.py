"""Keep rows whose two fields are similar in meaning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, model_validator

from khichdi.plugins import Drop, Filter, FilterInputs, Params

from .base.text_fields import EMBEDDING, TextField

if TYPE_CHECKING:
    import pyarrow as pa


class FieldSimilarityParams(Params):
    """The two fields, and the similarity threshold."""

    fields: tuple[TextField, TextField] = Field(
        ("input", "output"),
        description="The two fields to compare, such as an article and its summary.",
    )
    at_least: float = Field(
        ge=-1,
        le=1,
        description="Keep a row when the cosine similarity of the two embeddings is at least this.",
    )

    @model_validator(mode="after")
    def _differ(self) -> Self:
        if self.fields[0] == self.fields[1]:
            raise ValueError(f"two different fields: `{self.fields[0]}` appears twice")
        return self


class FieldSimilarity(Filter[FieldSimilarityParams]):
    """Keep rows whose two fields have similar embeddings."""

    name = "field-similarity"
    example = {"at_least": 0.2}
    sources = {"embedding": EMBEDDING}
    requires = ("numpy", "pyarrow", "torch", "transformers")

    _embedder: Any

    def begin(self, inputs: FilterInputs) -> None:
        """Load the embedding model."""
        from .similarity.embedding import Embedder

        self._embedder = Embedder(inputs.files["embedding"])

    def reasons(self, batch: pa.RecordBatch) -> Sequence[Drop | None]:
        """Return `fields-differ` with the cosine for rows below the bound."""
        from .similarity.embedding import cosines

        one, two = (
            self._embedder.embed(batch.column(name).to_pylist()) for name in self.params.fields
        )
        return [
            None if value >= self.params.at_least else Drop("fields-differ", f"cosine {value:.3f}")
            for value in cosines(one, two).tolist()
        ]
