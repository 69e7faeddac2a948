"""Convert a recipe to a configuration of axolotl or TRL, and report on every value.

The configuration goes to standard output, or to a new file with `--output`. The report on standard
error has every value of the recipe in one of three lists: mapped, inert (it changes no training, or
is that tool's own), and not mapped. Exit status 1 means that something was not mapped.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from ..compiler.config_exporters import EXPORTERS, Exported
from ..project.export_config import export_recipe
from ..schema.printable import printable
from ..schema.secrets import mask
from .output import columns, emit, quoted
from .set_option import set_argument


def arguments(parser: ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("format", choices=sorted(EXPORTERS), help="the tool to write for")
    parser.add_argument("recipe", metavar="RECIPE", help="a recipe, or the name of a shipped one")
    parser.add_argument("-o", "--output", metavar="FILE", help="write to a new file")
    set_argument(parser)


def run(options: Namespace) -> int:
    """Export one recipe; 0 if the configuration says all of it, 1 if something is not mapped."""
    output = Path(options.output) if options.output else None
    done = export_recipe(options.recipe, options.format, output=output, settings=options.settings)
    if not options.json:
        _report(options, done)
    document = done.as_json() | {"text": done.text, "output": str(output) if output else None}
    emit(options, document, f"wrote {output}" if output else done.text.rstrip("\n"))
    return 0 if done.complete else 1


def _report(options: Namespace, done: Exported) -> None:
    """Print the three lists to standard error; `-q` only what is not mapped."""
    lines = []
    if not options.quiet:
        said = [(f"{one.path} = {quoted(one.value, 40)}",
                 "-> " + ", ".join(f"{k} = {quoted(v, 60)}" for k, v in one.theirs.items()))
                for one in done.mapped if one.theirs]  # fmt: skip
        lines += ["mapped:", columns(said)] if said else []
        inert = [(f"{one.path} = {quoted(one.value, 40)}", one.note or "") for one in done.inert]
        lines += ["inert:", columns(inert)] if inert else []
    lines += [
        f"not mapped: {one.path} = {quoted(one.value, 60)}\n  {one.note}" for one in done.not_mapped
    ]
    lines.append(
        f"{options.recipe}: {len(done.mapped)} values mapped, {len(done.inert)} inert, "
        f"{len(done.not_mapped)} not mapped"
    )
    print(printable(mask("\n".join(lines))), file=sys.stderr)
