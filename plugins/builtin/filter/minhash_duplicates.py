"""Drop near-duplicates by MinHash: rows that share most shingles with an earlier row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from khichdi.plugins import Drop, Filter, Params

from .base.text_fields import TextField
from .similarity.first_of_kind import near_duplicate

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK = 1024  # rows that are compared with one another at once
THREADS = 4


class MinHashDuplicatesParams(Params):
    """Similarity threshold, shingle length and number of permutations."""

    fields: tuple[TextField, ...] = Field(
        ("instruction", "input", "output"),
        min_length=1,
        description="Fields whose words are compared, joined.",
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
    permutations: int = Field(
        128,
        ge=16,
        le=1024,
        description=(
            "Number of MinHash permutations. More find weaker similarities and take longer; at any "
            "number, at most 1 in 100 pairs exactly at the threshold is missed."
        ),
    )


class MinHashDuplicates(Filter[MinHashDuplicatesParams]):
    """Drop rows that share most of their shingles with an earlier kept row (MinHash).

    Candidates are found by MinHash and compared truly, so nothing goes that is not as similar as
    was asked. A row is compared with rows that stay, and the first stays; rows without words
    stay. Memory grows with the rows that stay: about 0.5 kB each and 4 bytes a word.
    """

    name = "minhash-duplicates"
    version = 2
    stateful = True
    requires = ("numpy", "pyarrow")

    def __init__(self, params: MinHashDuplicatesParams) -> None:
        super().__init__(params)
        self._finder: Any = None

    def reasons(self, batch: pa.RecordBatch) -> Sequence[Drop | None]:
        """Return `near-duplicate` with the row that stays and the similarity."""
        from concurrent.futures import ThreadPoolExecutor

        from .similarity.minhash_finder import MinHashFinder
        from .similarity.word_hashes import field_texts

        if self._finder is None:
            self._finder = MinHashFinder(
                self.params.words, self.params.permutations, self.params.above
            )
        finder: MinHashFinder = self._finder
        blocks = [batch.slice(start, BLOCK) for start in range(0, batch.num_rows, BLOCK)]
        ids = [block.column("id").to_pylist() for block in blocks]
        texts = [field_texts(block, self.params.fields) for block in blocks]
        reasons: list[Drop | None] = []
        # numpy lets other threads run; blocks are still compared in order.
        with ThreadPoolExecutor(THREADS) as threads:
            for sketch in threads.map(finder.sketch, ids, texts):
                reasons += map(near_duplicate, finder.repeats(sketch))
        return reasons
