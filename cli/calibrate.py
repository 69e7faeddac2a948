"""Calibrate audit tolerances from reruns, for audits on other hardware.

Reruns use settings that sum in another order, as other hardware does, each in a process of its own.
Ten kinds of trainings that deviate from the recipe are run as well, and every limit must lie
between the two. With FILE, `recipe audit RUN --rerun --calibration FILE` can judge a run as
equivalent where its bits differ.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..project.calibration import Trainings, calibrate_run
from ..schema.calibration import Calibration
from .arguments import consent_argument, target_argument
from .capture_output import capture_output
from .output import columns, emit, short


def arguments(parser: ArgumentParser) -> None:
    """Add the command's arguments."""
    target_argument(parser)
    parser.add_argument(
        "--reruns", type=int, default=5, metavar="N", help="reruns with different rounding (5)"
    )
    parser.add_argument(
        "--seeds", type=int, default=5, metavar="M", help="trainings with a different seed (5)"
    )
    parser.add_argument(
        "--controls", type=int, default=1, metavar="K", help="trainings of each other kind (1)"
    )
    parser.add_argument(
        "--to",
        metavar="FILE",
        help="output file (default: in the run's folder, where bundles find it)",
    )
    consent_argument(parser)
    parser.add_argument("--scratch", metavar="DIR", help="folder for intermediate files")


def run(options: Namespace) -> int:
    """Calibrate; exit status 1 where the limits do not separate every forgery from a rerun."""

    @contextmanager
    def screen(log: Path) -> Iterator[Callable[[str], None]]:
        with capture_output(log) as shown:
            silent = options.quiet or options.json
            yield lambda text: None if silent else print(text, file=shown, flush=True)

    made = calibrate_run(
        options.run,
        Trainings(options.reruns, options.seeds, options.controls),
        screen,
        output=options.to,
        allow_local_plugins=options.allow_local_plugins,
        scratch=options.scratch,
        store=options.store,
    )
    found = made.calibration
    document = {
        "calibration": str(made.file),
        "seal": found.seal(),
        "usable": not made.lacks,
        "lacks": made.lacks,
        **found.found.to_json(),
    }
    emit(options, document, text(found, made.lacks, made.file))
    return int(bool(made.lacks))


def text(found: Calibration, why: list[str], path: Path) -> str:
    """Return limits and rejections as two tables."""
    rows = [("figure", "honest", "limit", "distinguishes")]
    for one in found.found.criteria:
        limit = "not used" if one.limit is None else f"{one.limit:.2g}"
        told = ", ".join(one.separates) if one.limit is not None else one.why
        rows.append((one.name, f"{one.honest:.2g}", limit, told or "scores may be equal"))
    lines = [columns(rows), ""]
    rejected = [("forgery", "rejected", "over its limit", "by")]
    for kind, fared in found.found.rejected.items():
        share = f"{fared.samples - fared.missed} of {fared.samples}"
        rejected.append((kind, share, f"{fared.ratio:.3g} times", ", ".join(fared.by)))
    lines += [columns(rejected), ""]
    if why:
        lines += ["it cannot be used:", *(f"  {one}" for one in why)]
    lines.append(f"calibration  {path}")
    lines.append(f"seal         {short(found.seal())}")
    if not why:
        lines.append(f"next: recipe audit RUN --rerun --calibration {path}")
    return "\n".join(lines)
