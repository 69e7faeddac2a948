"""Write a recipe that does what another tool's configuration does, and say what became of each key.

The recipe goes to standard output, or to a file with `--output`. The report on standard error has
every key of the configuration in one of three lists: mapped, inert (it does nothing here), and
not mapped. Exit status 1 says that something was not mapped.
"""

from __future__ import annotations

import json
import re
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from ..compiler.importers import FORMATS, import_config
from ..compiler.importers.report import Report, key_text
from ..compiler.validate import validate
from ..plugins.registry import Registry, load_registry
from ..runtime.store.store import write_atomically
from ..schema.errors import InputError, RecipeError
from ..schema.printable import printable
from ..schema.secrets import mask
from ..schema.yaml_reader import parse
from .diagnostics import show
from .output import columns, emit, quoted
from .shipped import open_recipe

INFO = "dataset_info.json"
"""LLaMA-Factory's descriptions of data sets, in its `dataset_dir`."""


def arguments(parser: ArgumentParser) -> None:
    """Add what this command takes."""
    parser.add_argument("format", choices=sorted(FORMATS), help="the tool that the file is of")
    parser.add_argument("file", metavar="FILE", help="a configuration in YAML")
    parser.add_argument("-o", "--output", metavar="RECIPE", help="write the recipe to a new file")
    parser.add_argument("--name", help="what the recipe is called")
    parser.add_argument(
        "--dataset-info",
        metavar="FILE",
        help=f"LLaMA-Factory's {INFO} (default: in the configuration's `dataset_dir`)",
    )


def run(options: Namespace) -> int:
    """Import one file; 0 if the recipe does all that it says, 1 if something is not mapped."""
    if options.name and not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,59}", options.name):
        hint = "use lower-case letters, digits, dots and dashes"
        raise InputError(f"`{options.name}` cannot name a recipe", hint=hint)
    output = Path(options.output) if options.output else None
    if output is not None and output.exists():
        raise InputError(f"{output} exists already", hint="choose another name for --output")
    # With a folder before it, so that a name which is no file here is not one that ships.
    name = options.file if "/" in options.file else f"./{options.file}"
    path, raw = open_recipe(name, Path.cwd())
    registry = load_registry()
    info = _data_sets(options, path, raw) if options.format == "llama-factory" else {}
    done = import_config(
        raw, options.file, options.format, registry, name=options.name, data_sets=info
    )
    faults = _faults(done.text, output or path.with_suffix(".recipe.yaml"), registry)
    if output is not None:
        write_atomically(output, done.text, 0o644)
    document = done.report.as_json() | {
        "recipe": done.text,
        "output": str(output) if output else None,
        "diagnostics": [fault.as_json() for fault in faults],
    }
    if not options.json:
        _tell(options, done.report)
        if faults:
            print("the recipe is not valid yet:", file=sys.stderr)
            show(faults, sys.stderr)
    said = f"wrote {output}\nnext: recipe validate {output}" if output else done.text.rstrip("\n")
    emit(options, document, said)
    return 0 if done.report.complete and not faults else 1


def _data_sets(options: Namespace, path: Path, raw: bytes) -> dict[str, Any]:
    """Return LLaMA-Factory's descriptions of data sets, where there are any."""
    if options.dataset_info:
        file = Path(options.dataset_info)
    else:
        data = parse(raw, options.file).data
        folder = str((data.get("dataset_dir") if isinstance(data, dict) else None) or "data")
        places = [Path(folder) / INFO, path.parent / folder / INFO, path.parent / INFO]
        file = next((place for place in places if place.is_file()), Path())
        if not file.name:
            return {}
    try:
        found = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {file}: {error}") from None
    if not isinstance(found, dict):
        raise InputError(f"{file} has no descriptions of data sets by name")
    return found


def _faults(text: str, path: Path, registry: Registry) -> list[Any]:
    """Return what is wrong with the recipe that was made: values that the language refuses."""
    try:
        validate(path.name, path.parent, lambda name, folder: (path, text.encode()), registry)
    except RecipeError as error:
        return list(error.diagnostics)
    return []


def _tell(options: Namespace, report: Report) -> None:
    """Print the three lists and the defaults to standard error; `-q` only what is not mapped."""
    lines = []
    if not options.quiet:
        lines += _mapped(report) + _inert(report) + _defaults(report)
    for entry in report.not_mapped:
        place = f"{report.file}:{entry.mark.line}:{entry.mark.column}:"
        lines.append(f"{place} not mapped: {key_text(entry.key)} = {quoted(entry.value, 60)}")
        lines.append(f"  {entry.sentence}")
    lines += [f"not mapped: {d.key} is left out; {d.note}" for d in report.defaults if not d.ours]
    missing = len(report.not_mapped) + sum(not d.ours for d in report.defaults)
    lines.append(
        f"{report.file}: {len(report.mapped)} keys mapped, {len(report.inert)} inert, "
        f"{missing} not mapped"
    )
    print(printable(mask("\n".join(lines))), file=sys.stderr)


def _mapped(report: Report) -> list[str]:
    rows = []
    for entry in report.mapped:
        ours = ", ".join(f"{place} = {quoted(value, 60)}" for place, value in entry.ours.items())
        note = f"  ({entry.note})" if entry.note else ""
        theirs = f"{key_text(entry.key)} = {quoted(entry.value, 40)}"
        rows.append((f"{entry.mark.line:>4}", theirs, f"-> {ours}{note}"))
    return ["mapped:", columns(rows)] if rows else []


def _inert(report: Report) -> list[str]:
    rows = [
        (f"{e.mark.line:>4}", f"{key_text(e.key)} = {quoted(e.value, 40)}", e.why)
        for e in report.inert
    ]
    return ["inert:", columns(rows)] if rows else []


def _defaults(report: Report) -> list[str]:
    rows = []
    for entry in report.defaults:
        if entry.ours:
            ours = ", ".join(f"{p} = {quoted(value, 60)}" for p, value in entry.ours.items())
            rows.append(("    ", f"{entry.key} left out", f"-> {ours}  ({entry.note})"))
    return ["defaults written out:", columns(rows)] if rows else []
