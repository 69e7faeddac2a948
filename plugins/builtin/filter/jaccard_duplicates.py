"""Drop near-duplicates by words: rows that share most shingles with an earlier row (Jaccard)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from khichdi.plugins import Drop, Filter, FilterInputs, Params

from .base.text_fields import TextField
from .similarity.first_of_kind import near_duplicate

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK = 1024  # rows that are compared with one another at once
THREADS = 4
SAMPLE = 1 << 14  # rows that are looked at to learn which shingles are common


class JaccardDuplicatesParams(Params):
    """Fields, similarity threshold and shingle length."""

    fields: tuple[TextField, ...] = Field(
        ("instruction", "input", "output"),
        min_length=1,
        description=(
            "Fields whose words are compared, joined. Where the rows of a task share a long "
            "instruction, leave it out: else rows with short inputs are near-duplicates."
        ),
    )
    above: float = Field(
        0.7,
        gt=0,
        le=1,
        description=(
            "Drop a row when its Jaccard similarity to an earlier row (shared shingles out of all "
            "shingles of the two) is at least this."
        ),
    )
    words: int = Field(
        5,
        ge=1,
        le=32,
        description=(
            "Shingle length, in words without punctuation; in scripts without spaces each "
            "character is a word."
        ),
    )


class JaccardDuplicates(Filter[JaccardDuplicatesParams]):
    """Drop rows that share most of their shingles with an earlier kept row.

    This is what MinHash deduplication approximates, computed exactly: every row that is as
    similar to a kept row as `above` says is dropped, and no other. The first of similar rows
    stays; rows without words stay. Memory grows with the rows that stay: about 0.2 kB each and 7
    bytes a word.
    """

    name = "jaccard-duplicates"
    version = 1
    stateful = True
    requires = ("numpy", "pyarrow")

    def __init__(self, params: JaccardDuplicatesParams) -> None:
        super().__init__(params)
        self._finder: Any = None

    def begin(self, inputs: FilterInputs) -> None:
        """Learn from a sample of the rows which shingles are common."""
        from .similarity.word_hashes import field_texts

        if inputs.rows is None or not inputs.rows.num_rows:
            return
        rows = inputs.rows.select(sorted(set(self.params.fields)))
        places = range(0, rows.num_rows, -(-rows.num_rows // SAMPLE))
        for batch in rows.take(list(places)).to_batches(max_chunksize=BLOCK):
            self._duplicates().sample(field_texts(batch, self.params.fields))

    def reasons(self, batch: pa.RecordBatch) -> Sequence[Drop | None]:
        """Return `near-duplicate` with the row that stays and the similarity."""
        from concurrent.futures import ThreadPoolExecutor

        from .similarity.word_hashes import field_texts

        finder = self._duplicates()
        blocks = [batch.slice(start, BLOCK) for start in range(0, batch.num_rows, BLOCK)]
        ids = [block.column("id").to_pylist() for block in blocks]
        texts = [field_texts(block, self.params.fields) for block in blocks]
        reasons: list[Drop | None] = []
        # numpy lets other threads run; blocks are still compared in order.
        with ThreadPoolExecutor(THREADS) as threads:
            for sketch in threads.map(finder.sketch, ids, texts):
                reasons += map(near_duplicate, finder.repeats(sketch))
        return reasons

    def _duplicates(self) -> Any:
        from .similarity.duplicate_finder import DuplicateFinder

        if self._finder is None:
            self._finder = DuplicateFinder(self.params.words, self.params.above)
        return self._finder
