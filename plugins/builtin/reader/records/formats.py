"""Choose the record format of a file by its name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from khichdi.plugins import SourceFile
from khichdi.schema.errors import StepError

from .decompression import opened, plain_suffix
from .json_records import json_records, jsonl_records
from .record import BOM, FileRecord, RecordError
from .table_records import csv_records, parquet_records


def records(
    file: SourceFile,
    paths: Sequence[str] | None = None,
    *,
    field: str | None = None,
    names: Sequence[str] | None = None,
) -> Iterator[FileRecord | RecordError]:
    """Yield the records of a file in the format of its suffix.

    Args:
        file: what to read.
        paths: the fields that will be looked at, for formats that can leave others unread.
        field: where the list of records is in a `.json` file that holds an object.
        names: the names of the fields of a `.csv` or `.tsv` file without a header line.

    Raises:
        StepError: the name's ending is unknown, or the file cannot be read.
    """
    match plain_suffix(file.path):
        case ".jsonl" | ".ndjson":
            return jsonl_records(file)
        case ".json" if field is not None:
            return json_records(file, field)
        case ".json":
            # Many a `.json` on the hub holds JSON lines; the first character tells.
            with opened(file) as stream:
                start = stream.read(4096).removeprefix(BOM).lstrip()
            return jsonl_records(file) if start.startswith(b"{") else json_records(file)
        case ".csv":
            return csv_records(file, names=names)
        case ".tsv":
            return csv_records(file, delimiter="\t", names=names)
        case ".parquet":
            return parquet_records(file, paths)
        case suffix:
            raise StepError(
                f"cannot infer the format from the extension {suffix or '(none)'!r}",
                file=file.path,
                hint="known: .jsonl, .ndjson, .json, .csv, .tsv, .parquet, and the text formats "
                "with .gz, .bz2, .xz or .zst after that; name the right files in the source's "
                "`include`",
            )
