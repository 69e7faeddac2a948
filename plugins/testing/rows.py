"""Conformance tests for kinds that work on files, rows and facts."""

from __future__ import annotations

import copy
import pickle
import random
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ...schema.digest import draws, file_sha256
from ...schema.rows import COLUMNS
from ..kinds import Drop, Editor, Facts, FilterInputs, SourceFile
from ..result_checks import (
    check_breaches,
    check_edited,
    check_pin,
    check_read,
    check_reasons,
    check_renderings,
    check_selected,
)
from .base import PluginTests, Skipped
from .material import make_base, make_rows

if TYPE_CHECKING:
    import pyarrow as pa

SEED = 57


class SourceTests(PluginTests):
    """A source pins the same bytes each time, and fetches those and no others.

    Attributes:
        files: by path, the text or the bytes of files to put into the folder of the recipe. Left
            out, the place that the parameters name is not asked, for tests need no network.
    """

    files: ClassVar[Mapping[str, str | bytes] | None] = None
    forbids = frozenset({"clock"})

    def test_brings_what_it_pinned(self) -> None:
        """Pinning twice gives the same; every pinned file arrives with its bytes."""
        if self.files is None:
            raise Skipped("`files` is empty")
        with self.folder() as folder:
            here, into = folder / "recipe", folder / "into"
            into.mkdir()
            _write(here, self.files)
            source = self.make()
            with self.well_behaved(here):
                pin = source.pin(here)
            check_pin(pin)
            assert pin == self.make().pin(here), "pinning twice gives different pins"
            assert pin.files, "nothing was pinned"
            with self.well_behaved(here):
                source.fetch(pin, here, into)
            for file in pin.files:
                path = into / file.path
                assert path.is_file(), f"{file.path} was pinned and did not arrive"
                assert file_sha256(path) == file.sha256, f"{file.path} is not what was pinned"


class ReaderTests(PluginTests):
    """A reader turns files into rows.

    Attributes:
        files: by path, the text of files to read. Left out, reading is not tested.
    """

    files: ClassVar[Mapping[str, str | bytes] | None] = None

    def read(self, folder: Path) -> list[Any]:
        """Return all that the reader yields for the files in a folder."""
        self.needs()
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        files = [SourceFile(path.relative_to(folder).as_posix(), path) for path in paths]
        return list(self.make().read(files))

    def test_reads_rows(self) -> None:
        """Batches have columns of the schema and ids `<file>#<number>`; files stay as they are."""
        if self.files is None:
            raise Skipped("`files` says nothing that could be read")
        with self.folder() as folder:
            _write(folder, self.files)
            with self.well_behaved(folder):
                found = self.read(folder)
            again = self.read(folder)
        ids: list[str] = []
        for batch in found:
            check_read(batch)
            if isinstance(batch, Drop):
                continue
            wrong = set(batch.schema.names) - set(COLUMNS)
            assert not wrong, f"columns that rows do not have: {', '.join(sorted(wrong))}"
            assert "id" in batch.schema.names, "a batch has no column `id`"
            ids += batch.column("id").to_pylist()
        assert ids, "no row was read"
        assert len(set(ids)) == len(ids), "an id was given twice"
        for name in ids:
            assert re.fullmatch(r".+#\d+", name), f"{name} is not `<file path>#<number>`"
        assert _plain(found) == _plain(again), "reading twice gives different rows"


class FilterTests(PluginTests):
    """A filter keeps or drops each row; an editor rewrites rows.

    Attributes:
        rows: the rows to filter; left out, rows of many sorts.
        files: for a filter with `sources`, a folder by each name.
    """

    rows: ClassVar[pa.Table | None] = None
    files: ClassVar[Mapping[str, Path]] = {}

    def begun(self) -> Any:
        """Return a filter that is ready for its first batch."""
        self.needs()
        plugin = self.make()
        missing = [name for name in plugin.sources if name not in self.files]
        if missing:
            raise Skipped(f"`files` has no folder for {', '.join(missing)}")
        against = {"exam": make_rows(6)} if plugin.uses_benchmarks else {}
        base = make_base() if plugin.uses_tokenizer else None
        files = {name: self.files[name] for name in plugin.sources}
        plugin.begin(FilterInputs(files, against, base, self.table()))
        return plugin

    def table(self) -> pa.Table:
        """Return the rows that tests use."""
        return make_rows() if self.rows is None else self.rows

    def answer(self, plugin: Any, batch: pa.RecordBatch) -> list[Any]:
        """Return what becomes of each row: None, why it goes, or what it is now."""
        if not isinstance(plugin, Editor):
            reasons = plugin.reasons(batch)
            check_reasons(reasons, batch.num_rows)
            return [drop.reason if isinstance(drop, Drop) else drop for drop in reasons]
        ids = batch.column("id").to_pylist()
        after = plugin.edit(batch, draws(SEED, ids) if plugin.seeded else [])
        check_edited(batch, after)
        rows: list[Any] = after.to_pylist()
        return rows

    def answers(self, table: pa.Table, size: int, plugins: Sequence[Any] = ()) -> dict[str, Any]:
        """Return by row id what becomes of it, in batches of a size, shared out to plugins."""
        plugins = plugins or [self.begun()]
        found: dict[str, Any] = {}
        for number, batch in enumerate(table.combine_chunks().to_batches(max_chunksize=size)):
            ids = batch.column("id").to_pylist()
            plugin = plugins[number % len(plugins)]
            found |= zip(ids, self.answer(plugin, batch), strict=True)
        return found

    def test_each_row_stays_or_has_a_reason(self) -> None:
        """Reasons are slugs; nothing beside the result is touched or read."""
        table = self.table()
        plugin = self.begun()
        before = table.to_pylist()
        with self.well_behaved(*self.files.values()):
            self.answers(table, table.num_rows, [plugin])
        assert table.to_pylist() == before, "the rows that it was given are not what they were"

    def test_batches_do_not_matter(self) -> None:
        """The same rows, one by one, by sevens and all at once, give the same."""
        table = self.table()
        whole = self.answers(table, table.num_rows)
        for size in (1, 7):
            _same(whole, self.answers(table, size), f"in batches of {size}")

    def test_order_does_not_matter(self) -> None:
        """A stateless filter gives a row the same verdict at every position."""
        if self.plugin.stateful:  # type: ignore[attr-defined]
            raise Skipped("it says that it is stateful")
        table = self.table()
        order = list(range(table.num_rows))
        random.Random(SEED).shuffle(order)
        whole = self.answers(table, table.num_rows)
        _same(whole, self.answers(table.take(order), table.num_rows), "in another order")

    def test_workers_do_not_matter(self) -> None:
        """Batches shared out to several copies, as processes get them, give the same."""
        if self.plugin.stateful:  # type: ignore[attr-defined]
            raise Skipped("it says that it is stateful")
        table = self.table()
        try:
            pickle.loads(pickle.dumps(self.make()))
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise Skipped(f"it cannot be sent to other processes: {error}") from None
        whole = self.answers(table, table.num_rows)
        _same(whole, self.answers(table, 5, [self.begun() for _ in range(3)]), "with three workers")


class SamplerTests(PluginTests):
    """A sampler chooses rows by their draws.

    Attributes:
        rows: the rows to choose from; left out, rows of many sorts, with scores where asked.
    """

    rows: ClassVar[pa.Table | None] = None

    def table(self) -> pa.Table:
        """Return the rows that tests use."""
        if self.rows is not None:
            return self.rows
        import pyarrow as pa

        table = make_rows(240)
        scores = pa.array([number % 7 / 6 for number in range(table.num_rows)], pa.float64())
        return table.append_column("score", scores) if self.scored() else table

    def short(self) -> Any:
        """Return an instance that does with few rows, as in a rehearsal."""
        return self.make(**self.make().rehearsal())

    def scored(self) -> bool:
        """Tell whether the sampler goes by scores."""
        return bool(getattr(self.plugin, "uses_scores", False))

    def chosen(self, table: pa.Table) -> list[str]:
        """Return the ids of the rows that the sampler takes."""
        self.needs()
        ids = table.column("id").to_pylist()
        numbers = draws(SEED, ids)
        before = tuple(numbers)
        positions = self.short().select(table, numbers)
        check_selected(positions, table.num_rows)
        assert tuple(numbers) == before, "it changed the draws that it was given"
        return sorted(ids[position] for position in positions)

    def test_chooses_rows_that_are_there(self) -> None:
        """Positions are valid and given once; nothing beside the result is touched or read."""
        table = self.table()
        with self.well_behaved():
            found = self.chosen(table)
        asked = self.short().asked()
        assert asked is None or len(found) <= asked, f"took {len(found)} rows, asked for {asked}"
        least, most = self.short().expected(table.num_rows)
        words = f"took {len(found)} rows, expected {least} to {most}"
        assert least <= len(found) <= (table.num_rows if most is None else most), words

    def test_order_does_not_matter(self) -> None:
        """The same rows in another order give the same choice."""
        table = self.table()
        order = list(range(table.num_rows))
        random.Random(SEED).shuffle(order)
        assert self.chosen(table) == self.chosen(table.take(order)), "the order of rows shows"


class TemplateTests(PluginTests):
    """A template renders rows.

    Attributes:
        rows: the rows to render; left out, those of the kit that have an answer.
    """

    rows: ClassVar[pa.Table | None] = None

    def test_renders_rows(self) -> None:
        """Each sample has text to learn; rows stay as they are; twice is the same."""
        self.needs("transformers")
        from ..toolkit.tokenization import load_tokenizer

        tokenizer = load_tokenizer(make_base())
        table = make_rows() if self.rows is None else self.rows
        rows = [row for row in table.to_pylist() if row["output"]]
        before = copy.deepcopy(rows)
        template = self.make()
        with self.well_behaved():
            found = [template.renderings(row, tokenizer) for row in rows]
            prompts = [template.prompt(row, tokenizer) for row in rows]
        assert rows == before, "it changed a row that it was given"
        for row, renderings, prompt in zip(rows, found, prompts, strict=True):
            check_renderings(renderings, row["id"])
            assert renderings, f"row {row['id']}: nothing was rendered"
            for one in renderings:
                assert one.spans, f"row {row['id']}: nothing is learned"
            assert prompt.text, f"row {row['id']}: its prompt is empty"
        again = [self.make().renderings(row, tokenizer) for row in reversed(rows)][::-1]
        assert found == again, "the same row is rendered in another way the second time"


class RuleTests(PluginTests):
    """A rule looks at declared facts.

    Attributes:
        facts: what to look at; left out, a recipe of one data set under an open licence.
    """

    facts: ClassVar[Facts | None] = None

    def test_finds_the_same_breaches_each_time(self) -> None:
        """Breaches have words; the facts stay as they are."""
        facts = self.facts or Facts(
            base={"use": "huggingface", "repo": "mistralai/Mistral-7B-v0.1"},
            base_license="apache-2.0",
            data_licenses={"lima": "cc-by-nc-sa-4.0", "own": None},
            data_sources={"lima": {"use": "huggingface", "repo": "GAIR/lima"}},
        )
        before = copy.deepcopy(facts)
        with self.well_behaved():
            found = self.make().breaches(facts)
        check_breaches(found)
        assert facts == before, "it changed the facts that it was given"
        assert found == self.make().breaches(facts), "it finds other breaches the second time"


def _write(folder: Path, files: Mapping[str, str | bytes]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def _plain(found: Sequence[Any]) -> list[Any]:
    rows: list[Any] = []
    for batch in found:
        rows += [batch] if isinstance(batch, Drop) else batch.to_pylist()
    return rows


def _same(one: Mapping[str, Any], other: Mapping[str, Any], how: str) -> None:
    for name, value in one.items():
        assert other[name] == value, f"row {name}: {value!r}, and {how} {other[name]!r}"
