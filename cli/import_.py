"""Convert another tool's configuration to a recipe, and report on every key.

The recipe goes to standard output, or to a file with `--output`. The report on standard error has
every key of the configuration in one of three lists: mapped, inert (it has no effect here), and
not mapped. Exit status 1 means that something was not mapped. A folder is imported file by file.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from ..compiler.importers import FORMATS
from ..compiler.importers.report import Report, grouped, key_text
from ..project.import_config import INFO, import_file
from ..schema.errors import InputError
from ..schema.printable import printable
from ..schema.secrets import mask
from .diagnostics import show
from .output import columns, emit, quoted


def arguments(parser: ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("format", choices=sorted(FORMATS), help="the tool that the file is of")
    parser.add_argument(
        "file", metavar="FILE", help="a configuration in YAML, a folder of them, or - for stdin"
    )
    parser.add_argument(
        "-o", "--output", metavar="RECIPE", help="write the recipe to a new file, or into a folder"
    )
    parser.add_argument("--name", help="name of the recipe")
    parser.add_argument(
        "--dataset-info",
        metavar="FILE",
        help=f"LLaMA-Factory's {INFO} (default: in the configuration's `dataset_dir`)",
    )

    parser.add_argument(
        "--skeleton",
        action="store_true",
        help="of a training that a recipe cannot be, write the rest; not valid until decided",
    )


def run(options: Namespace) -> int:
    """Import one file; 0 if the recipe does all that it says, 1 if something is not mapped."""
    if options.file != "-" and Path(options.file).is_dir():
        return _folder(options)
    output = Path(options.output) if options.output else None
    done = import_file(
        options.file,
        options.format,
        name=options.name,
        output=output,
        dataset_info=options.dataset_info,
        skeleton=options.skeleton,
    )
    document = done.report.as_json() | {
        "recipe": done.text,
        "output": str(output) if output else None,
        "diagnostics": [fault.as_json() for fault in done.faults],
    }
    if not options.json:
        _tell(options, done.report)
        if done.faults:
            print("the recipe is not valid yet:", file=sys.stderr)
            show(done.faults, sys.stderr)
    step = "validate" if done.faults else "lock"
    text = f"wrote {output}\nnext: recipe {step} {output}" if output else done.text.rstrip("\n")
    emit(options, document, text)
    return 0 if done.complete else 1


def _folder(options: Namespace) -> int:
    """Import every configuration of a folder; a line for each, and recipes into `--output`."""
    target = Path(options.output) if options.output else None
    if options.name:
        raise InputError("`--name` is for one file, and this is a folder")
    files = sorted(p for p in Path(options.file).iterdir() if p.suffix in (".yml", ".yaml"))
    if not files:
        raise InputError(f"{options.file} has no configurations (.yml, .yaml)")
    if target:
        target.mkdir(parents=True, exist_ok=True)
    rows, documents = [], []
    for file in files:
        output = target / f"{file.stem}.yaml" if target else None
        try:
            done = import_file(
                str(file), options.format, output=output, dataset_info=options.dataset_info,
                skeleton=options.skeleton,
            )  # fmt: skip
        except InputError as error:
            status, said = "refused", error.message
            documents.append({"file": str(file)} | error.as_json())
        else:
            status = "whole" if done.complete else "not whole"
            said = _counts(done.report)
            if done.faults:
                said += f", {len(done.faults)} to be decided or corrected"
            documents.append(done.report.as_json() | {"output": str(output) if output else None})
        rows.append((file.name, status, said))
    emit(options, {"files": documents}, columns(rows))
    return 0 if all(status == "whole" for _, status, _ in rows) else 1


def _counts(report: Report) -> str:
    missing = len(report.not_mapped) + sum(not d.ours for d in report.defaults)
    return f"{len(report.mapped)} keys mapped, {len(report.inert)} inert, {missing} not mapped"


def _tell(options: Namespace, report: Report) -> None:
    """Print the three lists and the defaults to standard error; `-q` only unmapped keys."""
    lines = []
    if not options.quiet:
        lines += _mapped(report) + _inert(report) + _defaults(report)
    for name, entry in grouped(report.not_mapped):
        place = f"{report.file}:{entry.mark.line}:{entry.mark.column}:"
        lines.append(f"{place} not mapped: {name} = {quoted(entry.value, 60)}")
        lines.append(f"  {entry.sentence}")
    lines += [f"not mapped: {d.key} is left out; {d.note}" for d in report.defaults if not d.ours]
    lines.append(f"{report.file}: {_counts(report)}")
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
