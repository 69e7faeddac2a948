"""Drop near-duplicates by embedding: rows that mean nearly the same as an earlier one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from khichdi.plugins import Drop, Filter, FilterInputs, Params

from .base.text_fields import EMBEDDING, TextField
from .similarity.first_of_kind import near_duplicate

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK = 1024  # rows that are compared with one another at once


class NearDuplicatesParams(Params):
    """Fields to compare, and the similarity threshold."""

    fields: tuple[TextField, ...] = Field(
        ("instruction", "input", "output"),
        min_length=1,
        description="Fields whose text is embedded, joined.",
    )
    above: float = Field(
        0.9,
        gt=0,
        le=1,
        description=(
            "Drop a row when the cosine similarity to an earlier row's embedding is at least this; "
            "1 is the same direction."
        ),
    )


class NearDuplicates(Filter[NearDuplicatesParams]):
    """Drop rows whose embedding is close to that of an earlier kept row.

    Every row is compared with every row that stays, and the first stays; rows without text stay.
    Memory grows with the rows that stay: 1.5 kB each with 384 dimensions.
    """

    name = "near-duplicates"
    sources = {"embedding": EMBEDDING}
    stateful = True
    requires = ("numpy", "pyarrow", "torch", "transformers")

    _embedder: Any

    def begin(self, inputs: FilterInputs) -> None:
        """Load the embedding model."""
        import numpy as np

        from .similarity.embedding import Embedder
        from .similarity.growing import Grown

        self._embedder = Embedder(inputs.files["embedding"])
        self._ids: list[str] = []
        self._kept = Grown(np.empty((0, self._embedder.dimensions), np.float32))

    def reasons(self, batch: pa.RecordBatch) -> Sequence[Drop | None]:
        """Return `near-duplicate` with the row that stays and the cosine."""
        from .similarity.word_hashes import field_texts

        texts = field_texts(batch, self.params.fields)
        ids = batch.column("id").to_pylist()
        written = [row for row, text in enumerate(texts) if text.strip()]
        vectors = self._embedder.embed([texts[row] for row in written])
        reasons: list[Drop | None] = [None] * batch.num_rows
        for start in range(0, len(written), BLOCK):
            rows = written[start : start + BLOCK]
            found = self._repeats([ids[row] for row in rows], vectors[start : start + BLOCK])
            for row, drop in zip(rows, found, strict=True):
                reasons[row] = drop
        return reasons

    def _repeats(self, ids: list[str], vectors: Any) -> list[Drop | None]:
        from .similarity.embedding import similar_pairs
        from .similarity.first_of_kind import settle

        above = self.params.above
        earlier = similar_pairs(vectors, self._kept.rows, above)
        among = similar_pairs(vectors, vectors, above, earlier=True)
        said = settle(ids, self._ids, earlier, among)
        staying = [row for row, found in enumerate(said) if found is None]
        self._kept.add(vectors[staying])
        self._ids.extend(ids[row] for row in staying)
        return [near_duplicate(found) for found in said]
