"""Decontaminate: drop rows that overlap a benchmark, by n-grams or by embedding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, model_validator

from khichdi.plugins import Drop, Filter, FilterInputs, Params

from .base.text_fields import EMBEDDING, TextField

if TYPE_CHECKING:
    import pyarrow as pa

ALL_FIELDS: tuple[TextField, ...] = ("instruction", "input", "output")
MINE = "Fields of the rows to search, each separately."
THEIRS = (
    "Fields of the benchmarks' rows to search for, each separately; leave out fields with the "
    "same words in every row, such as a prompt."
)


class DecontaminateParams(Params):
    """Fields to compare, and the n-gram length."""

    fields: tuple[TextField, ...] = Field(ALL_FIELDS, min_length=1, description=MINE)
    benchmark_fields: tuple[TextField, ...] = Field(ALL_FIELDS, min_length=1, description=THEIRS)
    words: int = Field(
        13,
        ge=1,
        le=64,
        description=(
            "N-gram length: drop a row that shares this many consecutive words with a benchmark, "
            "ignoring case and punctuation."
        ),
    )
    shortest: int = Field(
        8,
        ge=1,
        le=64,
        description=(
            "Benchmark texts shorter than `words`, but with at least this many words, are searched "
            "for as a whole; shorter ones, such as a letter or a number, are ignored."
        ),
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.shortest > self.words:
            raise ValueError(f"`shortest` ({self.shortest}) is above `words` ({self.words})")
        return self


class Decontaminate(Filter[DecontaminateParams]):
    """Drop rows that share a long n-gram with a benchmark (13 words by default).

    The runs of all benchmarks are in memory: 16 bytes for each of their words.
    """

    name = "decontaminate"
    version = 2
    uses_benchmarks = True
    requires = ("numpy", "pyarrow")

    _index: Any

    def begin(self, inputs: FilterInputs) -> None:
        """Note every run of words of the benchmarks."""
        from .similarity.ngram_index import RunIndex

        self._index = RunIndex(
            inputs.benchmarks,
            self.params.benchmark_fields,
            self.params.words,
            self.params.shortest,
        )

    def reasons(self, batch: pa.RecordBatch) -> Sequence[Drop | None]:
        """Return `in-benchmark` with the benchmark, its row, and the words that both have."""
        reasons: list[Drop | None] = [None] * batch.num_rows
        for name in self.params.fields:
            hits = self._index.hits(batch.column(name).to_pylist())
            for row, (benchmark, theirs, phrase) in hits.items():
                if reasons[row] is None:
                    reasons[row] = Drop("in-benchmark", f'{benchmark} {theirs}: "{phrase}"')
        return reasons


class DecontaminateEmbeddingParams(Params):
    """Fields to compare, and the similarity threshold."""

    fields: tuple[TextField, ...] = Field(("instruction", "input"), min_length=1, description=MINE)
    benchmark_fields: tuple[TextField, ...] = Field(
        ("instruction", "input"), min_length=1, description=THEIRS
    )
    above: float = Field(
        0.9,
        gt=0,
        le=1,
        description=(
            "Drop a row when the cosine similarity of its embedding and a benchmark text's is at "
            "least this."
        ),
    )


class DecontaminateEmbedding(Filter[DecontaminateEmbeddingParams]):
    """Drop rows whose meaning is close to a benchmark's, by embedding.

    The embeddings of all benchmarks are in memory.
    """

    name = "decontaminate-embedding"
    sources = {"embedding": EMBEDDING}
    uses_benchmarks = True
    requires = ("numpy", "pyarrow", "torch", "transformers")

    _embedder: Any

    def begin(self, inputs: FilterInputs) -> None:
        """Load the embedding model and embed the benchmarks' texts."""
        from .similarity.embedding import Embedder

        self._embedder = Embedder(inputs.files["embedding"])
        found: dict[str, str] = {}
        for benchmark, table in sorted(inputs.benchmarks.items()):
            for name in self.params.benchmark_fields:
                ids, texts = (table.column(column).to_pylist() for column in ("id", name))
                for row, text in zip(ids, texts, strict=True):
                    if text.strip():
                        found.setdefault(text, f"{benchmark} {row}")
        self._places = list(found.values())
        self._vectors = self._embedder.embed(list(found))

    def reasons(self, batch: pa.RecordBatch) -> Sequence[Drop | None]:
        """Return `like-benchmark` with the benchmark's row that is most alike, and the cosine."""
        from .similarity.embedding import similar_pairs

        best: list[tuple[float, str]] = [(0.0, "")] * batch.num_rows
        for name in self.params.fields:
            texts = batch.column(name).to_pylist()
            written = [row for row, text in enumerate(texts) if text.strip()]
            vectors = self._embedder.embed([texts[row] for row in written])
            for place, other, value in similar_pairs(vectors, self._vectors, self.params.above):
                row = written[place]
                if value > best[row][0]:
                    best[row] = (value, self._places[other])
        return [
            Drop("like-benchmark", f"{place} (similarity {value:.3f})") if place else None
            for value, place in best
        ]
