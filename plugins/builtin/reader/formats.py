"""Records out of a file in the format that its name says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from ....schema.errors import StepError
from ... import SourceFile
from .json_records import json_records, jsonl_records
from .records import BOM, Record
from .table_records import csv_records, parquet_records


def records(file: SourceFile) -> Iterator[Record]:
    """Yield the records of a file in the format that its name says.

    Raises:
        StepError: the name's ending is unknown, or a record is broken.
    """
    match PurePosixPath(file.path).suffix.lower():
        case ".jsonl" | ".ndjson":
            return jsonl_records(file)
        case ".json":
            # Many a `.json` on the hub holds JSON lines; the first character tells.
            with file.location.open("rb") as stream:
                start = stream.read(4096).removeprefix(BOM).lstrip()
            return jsonl_records(file) if start.startswith(b"{") else json_records(file)
        case ".csv":
            return csv_records(file)
        case ".tsv":
            return csv_records(file, delimiter="\t")
        case ".parquet":
            return parquet_records(file)
        case suffix:
            raise StepError(
                f"cannot tell the format from the ending {suffix or '(none)'!r}",
                file=file.path,
                hint="known: .jsonl, .ndjson, .json, .csv, .tsv, .parquet; "
                "name the right files in the source's `include`",
            )
