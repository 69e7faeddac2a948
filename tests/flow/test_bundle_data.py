"""A bundle with data: nothing personal in rows, files or predictions leaves unnamed."""

from __future__ import annotations

import bz2
import gzip
import json
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from forgery import change_row, change_values, forge

from khichdi.runtime.bundle.data_check import ArtifactFile, check_artifacts
from khichdi.runtime.tables import write_table
from khichdi.schema.errors import InputError
from khichdi.schema.rows import row_schema

from .conftest import Workdir
from .test_audit import run_of
from .test_bundle import HARMLESS, SECRETS, recipe

Ran = tuple[Workdir, Any]
TOKEN = SECRETS["hugging face"]


def rows(folder: Path, **texts: list[str]) -> ArtifactFile:
    """Write a table of rows whose other columns are empty."""
    count = len(next(iter(texts.values())))
    columns = []
    for field in row_schema():
        empty = [] if pa.types.is_list(field.type) else ""
        columns.append(pa.array(texts.get(field.name, [empty] * count), field.type))
    folder.mkdir(exist_ok=True)
    write_table(folder, pa.table(columns, schema=row_schema()))
    return ArtifactFile("data/a/read#rows", "table.arrow", folder / "table.arrow")


def text_file(folder: Path, name: str, raw: bytes) -> ArtifactFile:
    (folder / name).write_bytes(raw)
    return ArtifactFile("data/a/source#files", name, folder / name)


@pytest.mark.parametrize("kind", SECRETS)
@pytest.mark.parametrize("field", ["output", "turns", "references"])
def test_a_secret_in_a_row_is_named_by_step_row_and_field(
    tmp_path: Path, kind: str, field: str
) -> None:
    texts: list[Any] = ["nothing", "a key to the tokens of http://example.org", SECRETS[kind]]
    values = {
        "output": texts,
        "references": [[text, text] for text in texts],
        "turns": [[{"role": "user", "text": text, "extra": ""}] for text in texts],
    }[field]
    with pytest.raises(InputError) as caught:
        check_artifacts([rows(tmp_path, **{field: values})])
    assert caught.value.message.startswith(f"data/a/read#rows, row 2, field {field}: a")
    assert SECRETS[kind] not in str(caught.value)
    check_artifacts([rows(tmp_path, **{field: values[:2]})])


def test_two_rows_that_make_a_secret_only_together_are_let_through(tmp_path: Path) -> None:
    half = len(TOKEN) // 2
    check_artifacts([rows(tmp_path, output=[TOKEN[:half], TOKEN[half:], *HARMLESS])])


def test_a_row_that_begins_with_a_secret_is_found_behind_a_word(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="row 1, field output"):
        check_artifacts([rows(tmp_path, output=["word", TOKEN])])


@pytest.mark.parametrize("packed", [bytes, gzip.compress, bz2.compress])
def test_a_source_s_file_is_named_with_its_line(tmp_path: Path, packed: Any) -> None:
    raw = b'{"a": 1}\n' * 9 + b'{"b": "/home/alice/data"}\n'
    with pytest.raises(InputError) as caught:
        check_artifacts([text_file(tmp_path, "rows.jsonl", packed(raw))])
    words = "data/a/source#files, rows.jsonl, line 10: a folder of a person must not leave"
    assert caught.value.message.startswith(words)


def test_a_parquet_file_s_columns_are_searched(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"n": [1, 2], "note": ["", TOKEN]}), tmp_path / "a.parquet")
    file = ArtifactFile("data/a/source#files", "a.parquet", tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"data/a/source#files, row 1, field note"):
        check_artifacts([file])


def test_a_binary_file_that_nobody_can_read_is_named_as_not_searched(tmp_path: Path) -> None:
    file = text_file(tmp_path, "data.zip", b"PK\x03\x04" + bytes(100) + TOKEN.encode())
    assert check_artifacts([file]) == ["data/a/source#files, data.zip"]


def test_the_header_of_safetensors_is_searched_and_its_numbers_are_not(tmp_path: Path) -> None:
    header = json.dumps({"__metadata__": {"made": "/home/alice/x"}}).encode()
    for raw, found in ((header, True), (b"{}", False)):
        file = text_file(
            tmp_path, "a.safetensors", len(raw).to_bytes(8, "little") + raw + TOKEN.encode()
        )
        if found:
            with pytest.raises(InputError, match=r"a\.safetensors, header: a folder"):
                check_artifacts([file])
        else:
            assert check_artifacts([file]) == []


def test_a_text_a_step_or_a_data_set_can_be_allowed_by_name(tmp_path: Path) -> None:
    table = rows(tmp_path, output=[TOKEN], source=["a"])
    mixed = table._replace(output="mixture#rows")
    with pytest.raises(InputError) as caught:
        check_artifacts([mixed])
    assert str(caught.value).endswith("--allow data/a")
    for word in (TOKEN, "data/a", "mixture"):
        assert check_artifacts([mixed], [word]) == []
    for word in ("data/b", "data", "mix"):
        with pytest.raises(InputError):
            check_artifacts([mixed], [word])


def test_a_bundle_with_such_rows_is_refused_before_a_byte_is_written(
    own_run: Ran, tmp_path: Path
) -> None:
    workdir, run = own_run[0], run_of(own_run).name
    plant = change_row(7, "output", TOKEN)
    forge(run_of(own_run), workdir.folder / "store", "data/capitals/read", "rows", plant)
    target = tmp_path / "out.bundle"
    words = ["bundle", run, "-o", str(target)]
    said = recipe(workdir, *words, "--with-data", status=2)["error"]["message"]
    assert "data/capitals/read#rows, row 7, field output: a token of the Hugging Face hub" in said
    assert TOKEN not in said
    assert not target.exists()
    assert recipe(workdir, *words)["not_searched"] == []
    recipe(workdir, *words, "--with-data", "--allow", "data/capitals")


def test_an_answer_with_a_secret_is_named_by_its_row(own_run: Ran, tmp_path: Path) -> None:
    def plant(values: Any) -> None:
        values[2]["prediction"] = f"the key is {TOKEN}"

    step = "evaluate/generate/adapter"
    store = own_run[0].folder / "store"
    forge(run_of(own_run), store, step, "predictions", change_values(plant))
    target = str(tmp_path / "out.bundle")
    said = recipe(own_run[0], "bundle", run_of(own_run).name, "-o", target, status=2)["error"][
        "message"
    ]
    assert f"{step}#predictions, row 2, field prediction: a token" in said


@pytest.mark.nightly
@pytest.mark.slow
def test_a_million_rows_are_searched_in_a_minute(tmp_path: Path) -> None:
    text = "The key to the secret garden is at https://example.org, said the machine. " * 4
    count = 1_000_000
    texts = [f"{number} {text if number % 7 == 0 else text[48:200]}" for number in range(count)]
    table = rows(tmp_path, instruction=texts, output=texts)
    start = time.process_time()
    assert check_artifacts([table]) == []
    seconds = time.process_time() - start
    print(f"{count:,} rows, {table.path.stat().st_size / 2**20:,.0f} MiB: {seconds:.1f} s")
    assert seconds < 120
