"""Statistics of rows: lengths, composition, overlap of sources, languages, frequent phrases.

Nothing here enters a digest. What is costly is counted on rows that are drawn by their ids, so the
same rows give the same statistics; the number of rows drawn is reported.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ...schema.digest import draws
from ...schema.record import Record
from .rows import SIDES, SPLIT, StepRows
from .texts import WORD, normal, prompts, whole_texts, word_counts

BINS = 24
"""Bars of a histogram, the last of which has all that is longer."""
DRAWN = 20_000
"""Rows at most whose language is identified and whose phrases are counted."""
WORDS = 4
"""Words of a phrase."""
PHRASES = 20
"""Phrases reported, the most frequent."""
LANGUAGE_CHARACTERS = 1_000
"""Characters of a row that its language is identified by."""
QUANTILES = ("p50", "p90", "p99", "max")


@dataclass(frozen=True)
class Lengths:
    """The lengths of some rows in one unit.

    Attributes:
        of: `all`, or a data set's name.
        unit: `tokens`, `words` or `characters`.
        count: how many were measured.
        quantiles: p50, p90, p99 by the nearest rank, and max.
        bins: a histogram: from, up to (excluded; of the last bar, the longest), and how many.
    """

    of: str
    unit: str
    count: int
    quantiles: dict[str, int]
    bins: list[tuple[int, int, int]]


@dataclass(frozen=True)
class Overlap:
    """Rows of one part whose text is in another; of a part with itself, repeated rows.

    Attributes:
        one: a data set, or a side of the split.
        other: the other one, or the same.
        compared: `prompt` or `text`: compared in lower case and without punctuation.
        rows: how many rows of `one`.
    """

    one: str
    other: str
    compared: str
    rows: int


@dataclass(frozen=True)
class Statistics:
    """Statistics of the rows of a step.

    Attributes:
        step: the step.
        rows: how many rows it left.
        sides: of the split, rows to train on and for validation.
        sources: rows by data set.
        tasks: rows by task, most frequent first; rows without a task are not there.
        licenses: rows by license, `""` where none is declared.
        lengths: by unit and data set.
        tokens_note: the basis of lengths in tokens, or why there are none.
        quantiles_before: by side and data set, tokens before anything was truncated, of the record.
        packed: by side, rows that packing truncated or left out.
        overlaps: repeated rows within and between data sets and sides; nothing where none.
        languages: rows by ISO 639 code, of the rows drawn; None where py3langid is not installed.
        phrases: the most frequent phrases with the number of rows that have them.
        drawn: how many rows languages and phrases were counted on.
    """

    step: str
    rows: int
    sides: dict[str, int]
    sources: dict[str, int]
    tasks: dict[str, int]
    licenses: dict[str, int]
    lengths: list[Lengths]
    tokens_note: str
    quantiles_before: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)
    packed: dict[str, dict[str, int]] = field(default_factory=dict)
    overlaps: list[Overlap] = field(default_factory=list)
    languages: dict[str, int] | None = None
    phrases: list[tuple[str, int]] = field(default_factory=list)
    drawn: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return the statistics as JSON values."""
        return asdict(self)


def statistics(rows: StepRows, record: Record, packs: Sequence[pa.Table] = ()) -> Statistics:
    """Count the rows of a step.

    Args:
        rows: the rows.
        record: of the run; packing's figures are in it.
        packs: the packs of training and of validation, where the rows were packed.
    """
    table, texts = rows.table, whole_texts(rows.table)
    sources = table.column("source").to_pylist()
    drawn = _drawn(table)
    some = texts.take(pa.array(drawn, pa.int64()))
    facts: Any = next((dict(s.result.facts) for s in record.steps if s.kind == "pack"), {})
    tokens, note = _tokens(packs)
    return Statistics(
        step=rows.step,
        rows=table.num_rows,
        sides=rows.sides(),
        sources=_counted(sources),
        tasks=_counted(task for task in table.column("task").to_pylist() if task),
        licenses=_licenses(table.column("license").to_pylist()),
        lengths=[
            *_lengths("tokens", *tokens),
            *_lengths("words", sources, word_counts(texts).to_pylist()),
            *_lengths("characters", sources, pc.utf8_length(texts).to_pylist()),
        ],
        tokens_note=note,
        quantiles_before={
            side: facts[side]["token_lengths"]
            for side in SIDES
            if facts.get(side, {}).get("token_lengths")
        },
        packed={
            side: {name: facts[side][name] for name in ("truncated", "left_out")}
            for side in SIDES
            if "truncated" in facts.get(side, {})
        },
        overlaps=list(_overlaps(rows)),
        languages=_languages(some.to_pylist()),
        phrases=_phrases(some.to_pylist()),
        drawn=len(drawn),
    )


def _counted(values: Iterable[str]) -> dict[str, int]:
    """Return how often each value is there, the most frequent first, then by name."""
    return dict(sorted(Counter(values).items(), key=lambda pair: (-pair[1], pair[0])))


def _licenses(values: Sequence[str]) -> dict[str, int]:
    """Return how often each license is declared; ids of SPDX are the same in any case."""
    spelled: dict[str, str] = {}
    for name in _counted(values):
        spelled.setdefault(name.lower(), name)
    return _counted(spelled[value.lower()] for value in values)


def _drawn(table: pa.Table) -> list[int]:
    numbers = draws(0, table.column("id").to_pylist())
    return sorted(sorted(range(len(numbers)), key=numbers.__getitem__)[:DRAWN])


# ---- lengths --------------------------------------------------------------------------------


def _tokens(packs: Sequence[pa.Table]) -> tuple[tuple[list[str], list[int]], str]:
    """Return the data set and the tokens of each sample, and the basis in words."""
    sources: list[str] = []
    lengths: list[int] = []
    for table in packs:
        ids = pc.list_flatten(table.column("ids")).to_pylist()
        tokens = pc.list_flatten(table.column("lengths")).to_pylist()
        if len(ids) != len(tokens):
            return ([], []), "packs are cut from one long text: their samples have no lengths"
        sources += [row_id.split("/", 1)[0] for row_id in ids]
        lengths += tokens
    if not packs:
        return ([], []), "the rows were not tokenized in this run"
    return (sources, lengths), "tokens of samples as packed, after truncation"


def _lengths(unit: str, sources: Sequence[str], values: Sequence[int]) -> Iterator[Lengths]:
    if not values:
        return
    yield _measured("all", unit, values)
    names = sorted(set(sources))
    for name in names if len(names) > 1 else ():
        yield _measured(
            name, unit, [v for source, v in zip(sources, values, strict=True) if source == name]
        )


def _measured(of: str, unit: str, values: Sequence[int]) -> Lengths:
    ordered = sorted(values)
    ranks = {f"p{share}": ordered[-(-len(ordered) * share // 100) - 1] for share in (50, 90, 99)}
    longest = ordered[-1]
    width = max(1, _nice(max(1, ranks["p99"]) / (BINS - 1)))
    counts = Counter(min(value // width, BINS - 1) for value in ordered)
    first, last = min(counts), max(counts)
    bins = [
        (at * width, (at + 1) * width if at < BINS - 1 else longest + 1, counts.get(at, 0))
        for at in range(first, last + 1)
    ]
    return Lengths(of, unit, len(ordered), {**ranks, "max": longest}, bins)


def _nice(width: float) -> int:
    """Return the next of 1, 2, 5, 10, 20, 50 … that is as large."""
    scale = 1
    while True:
        for step in (1, 2, 5):
            if step * scale >= width:
                return step * scale
        scale *= 10


# ---- overlap --------------------------------------------------------------------------------


def _overlaps(rows: StepRows) -> Iterator[Overlap]:
    """Yield overlaps of data sets by prompt and whole text, then of the sides of the split."""
    sources = rows.table.column("source").to_pylist()
    texts = {"prompt": prompts(rows.table), "text": whole_texts(rows.table)}
    for compared, found in texts.items():
        keys = pc.dictionary_encode(normal(found)).indices.to_pylist()
        yield from _shared(sources, keys, compared)
        if rows.sides():
            sides = rows.table.column(SPLIT).to_pylist()
            yield from (
                one
                for one in _shared(sides, keys, compared)
                if (one.one, one.other) == ("validation", "train")
            )


def _shared(groups: Sequence[str], keys: Sequence[int], compared: str) -> Iterator[Overlap]:
    counts: dict[str, Counter[int]] = {}
    for group, key in zip(groups, keys, strict=True):
        counts.setdefault(group, Counter())[key] += 1
    for one in sorted(counts):
        repeated = sum(number - 1 for number in counts[one].values())
        if repeated:
            yield Overlap(one, one, compared, repeated)
        for other in sorted(counts.keys() - {one}):
            rows = sum(number for key, number in counts[one].items() if key in counts[other])
            if rows:
                yield Overlap(one, other, compared, rows)


# ---- language and phrases -------------------------------------------------------------------


def _languages(texts: Iterable[str]) -> dict[str, int] | None:
    """Return rows by language; texts without letters are `und`."""
    from ...plugins.toolkit import language_identifier

    try:
        identifier = language_identifier()
    except ModuleNotFoundError:
        return None
    return _counted(
        identifier.classify(text[:LANGUAGE_CHARACTERS])[0]
        if any(map(str.isalpha, text[:LANGUAGE_CHARACTERS]))
        else "und"
        for text in texts
    )


def _phrases(texts: Iterable[str]) -> list[tuple[str, int]]:
    """Return the phrases of four words on a line that most rows have, in lower case."""
    import regex

    word = regex.compile(WORD)
    rows: Counter[str] = Counter()
    for text in texts:
        lines = (word.findall(line) for line in text.lower().splitlines())
        rows.update(
            {
                " ".join(words[i : i + WORDS])
                for words in lines
                for i in range(len(words) - WORDS + 1)
            }
        )
    found = sorted(rows.items(), key=lambda pair: (-pair[1], pair[0]))
    return [(phrase, count) for phrase, count in found[:PHRASES] if count > 1]
