"""Convert another tool's configuration to a recipe, and report on every key.

The recipe goes to standard output, or to a file with `--output`. The report on standard error has
every key of the configuration in one of three lists: mapped, inert (it has no effect here), and
not mapped. Exit status 1 means that something was not mapped.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from ..compiler.importers import FORMATS
from ..compiler.importers.report import Report, key_text
from ..project.import_config import INFO, import_file
from ..schema.printable import printable
from ..schema.secrets import mask
from .diagnostics import show
from .output import columns, emit, quoted


def arguments(parser: ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("format", choices=sorted(FORMATS), help="the tool that the file is of")
    parser.add_argument("file", metavar="FILE", help="a configuration in YAML")
    parser.add_argument("-o", "--output", metavar="RECIPE", help="write the recipe to a new file")
    parser.add_argument("--name", help="name of the recipe")
    parser.add_argument(
        "--dataset-info",
        metavar="FILE",
        help=f"LLaMA-Factory's {INFO} (default: in the configuration's `dataset_dir`)",
    )


def run(options: Namespace) -> int:
    """Import one file; 0 if everything is mapped, 1 if something is not."""
    output = Path(options.output) if options.output else None
    done = import_file(
        options.file,
        options.format,
        name=options.name,
        output=output,
        dataset_info=options.dataset_info,
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
    text = f"wrote {output}\nnext: recipe validate {output}" if output else done.text.rstrip("\n")
    emit(options, document, text)
    return 0 if done.complete else 1


def _tell(options: Namespace, report: Report) -> None:
    """Print the three lists and the defaults to standard error; `-q` only unmapped keys."""
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
