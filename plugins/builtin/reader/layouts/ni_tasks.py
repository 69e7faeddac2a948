"""Parse a Natural Instructions task file: check it, convert it to rows.

Three shapes were published. Version 2 has lists everywhere and an `id` for each instance; the first
release has `Definition` as a text and neither ids, languages, domains nor licence; derived sets
have `Categories`, `Domains` and each `output` as plain texts. All are read to the same rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from khichdi.plugins import SourceFile
from khichdi.schema.errors import StepError

from ..records.json_records import load_json
from ..records.record import FileRecord, RecordError, read_text, what
from ..records.row_mapper import text_of

REQUIRED = ("Definition", "Instances")
TEXTS = (
    "Definition", "Categories", "Domains", "Input_language", "Output_language", "Instance License",
)  # fmt: skip
"""The keys that hold a text or a list of texts."""

SPDX = {
    "AFL 3.0": "AFL-3.0",
    "Apache 2.0": "Apache-2.0",
    "CC BY 4.0": "CC-BY-4.0",
    "CC BY-NC 4.0": "CC-BY-NC-4.0",
    "CC BY-NC-SA 3.0": "CC-BY-NC-SA-3.0",
    "CC BY-NC-SA 4.0": "CC-BY-NC-SA-4.0",
    "CC BY-SA 3.0": "CC-BY-SA-3.0",
    "CC BY-SA 4.0": "CC-BY-SA-4.0",
    "CC0: Public Domain": "CC0-1.0",
    "MIT": "MIT",
    "Unknown": "",
}
"""The files' words for licences -> SPDX ids; other words stay as they are."""


def task_name(file: SourceFile) -> str:
    """Return the task's name: the file's, without its endings."""
    return PurePosixPath(file.path).name.split(".json", 1)[0]


def task_rows(file: SourceFile, every_reference: bool) -> Iterator[dict[str, Any] | RecordError]:
    """Yield the rows of one task, and errors of invalid instances.

    Raises:
        StepError: the file is not a task; names the place as a JSON path.
    """
    text = read_text(file)
    if not text.strip():
        raise StepError("the file is empty; a task was expected", file=file.path)
    task = load_json(file, text)
    _check(task, file)
    header = _header(task, file)
    for number, instance in enumerate(task["Instances"]):
        record = FileRecord(file, number, None, instance)
        try:
            outputs = _outputs(record)
            text = _text(record, "input")
        except RecordError as bad:
            yield bad
            continue
        references = list(dict.fromkeys(outputs)) if every_reference else outputs[:1]
        changing = {"input": text, "output": outputs[0], "references": references}
        yield {"id": record.id, **header, **changing}


def _check(task: Any, file: SourceFile) -> None:
    fault = next(_faults(task), None)
    if fault is not None:
        hint = "a task has `Definition` and `Instances`; leave other files out of the `include`"
        raise StepError(fault, hint=hint, file=file.path)


def _faults(task: Any) -> Iterator[str]:
    """Yield what is wrong with a task; its instances are checked one by one while they are read."""
    if not isinstance(task, dict):
        yield f"$: an object was expected, found {what(task)}"
        return
    for name in REQUIRED:
        if name not in task:
            yield f"$: `{name}` is missing"
        elif task[name] in ("", []):
            yield f"$.{name}: it is empty"
    for name in TEXTS:
        value = task.get(name, "")
        if not isinstance(value, str | list):
            yield f"$.{name}: a text or a list of texts was expected, found {what(value)}"
        for number, text in enumerate(value if isinstance(value, list) else ()):
            if not isinstance(text, str):
                yield f"$.{name}[{number}]: a text was expected, found {what(text)}"
    if not isinstance(task["Instances"], list):
        yield f"$.Instances: a list was expected, found {what(task['Instances'])}"


def _header(task: dict[str, Any], file: SourceFile) -> dict[str, Any]:
    """Return the columns that all rows of a task share."""
    licenses = [SPDX.get(name, name) for name in _texts(task.get("Instance License"))]
    return {
        "task": task_name(file),
        "license": " AND ".join(name for name in licenses if name),
        "categories": _texts(task.get("Categories")),
        "domains": _texts(task.get("Domains")),
        "input_languages": _texts(task.get("Input_language")),
        "output_languages": _texts(task.get("Output_language")),
        "instruction": "\n".join(_texts(task["Definition"])),
    }


def _texts(value: Any) -> list[str]:
    if value is None:
        return []
    return [value] if isinstance(value, str) else list(value)


def _outputs(record: FileRecord) -> list[str]:
    value = _instance(record, "output")
    place = f"$.Instances[{record.number}].output"
    outputs = value if isinstance(value, list) else [value]
    if not outputs:
        message = f"{place}: it is empty; one answer at least was expected"
        raise record.error(message, reason="missing-field")
    return [text_of(record, place, output) for output in outputs]


def _text(record: FileRecord, key: str) -> str:
    return text_of(record, f"$.Instances[{record.number}].{key}", _instance(record, key))


def _instance(record: FileRecord, key: str) -> Any:
    place = f"$.Instances[{record.number}]"
    if not isinstance(record.value, dict):
        message = f"{place}: an object was expected, found {what(record.value)}"
        raise record.error(message, reason="wrong-type")
    if key not in record.value:
        raise record.error(f"{place}: `{key}` is missing", reason="missing-field")
    return record.value[key]
