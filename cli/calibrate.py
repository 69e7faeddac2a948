"""Calibrate audit tolerances from reruns, for audits on other hardware.

Reruns use settings that sum in another order, as other hardware does, each in a process of its own.
Ten kinds of trainings that deviate from the recipe are run as well, and every limit must lie
between the two. With FILE, `recipe audit RUN --rerun --calibration FILE` can judge a run as
equivalent where its bits differ.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from ..project.audit_target import open_target, training_registry
from ..runtime.audit.audited_run import Claim
from ..runtime.store.store import write_atomically
from ..runtime.tempdirs import scratch_folder
from ..schema.calibration import Calibration
from ..schema.errors import InputError
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
    from ..runtime.calibration.calibration_file import FEWEST, lacks

    if min(options.reruns, options.seeds) < FEWEST or options.controls < 1:
        raise InputError(
            f"a calibration needs {FEWEST} reruns, {FEWEST} seeds and a control of each kind"
        )
    with open_target(options.run, store=options.store, scratch=options.scratch) as claim:
        found = _calibrate(claim, options)
        path = _write(found, claim, options)
    why = lacks(found)
    document = {
        "calibration": str(path),
        "seal": found.seal(),
        "usable": not why,
        "lacks": why,
        **found.found.to_json(),
    }
    emit(options, document, text(found, why, path))
    return int(bool(why))


def _calibrate(claim: Claim, options: Namespace) -> Calibration:
    """Train again in a temporary folder, and derive the limits."""
    from ..runtime.calibration.calibrate import Calibrator

    registry = training_registry(claim, allow_local_plugins=options.allow_local_plugins)
    with (
        scratch_folder("calibrate", options.scratch) as folder,
        capture_output(Path(folder) / "log.txt") as screen,
    ):

        def report(text: str) -> None:
            if not (options.quiet or options.json):
                print(text, file=screen, flush=True)

        counts = options.reruns, options.seeds, options.controls
        return Calibrator(claim, registry, Path(folder), report, *counts).make()


def _write(found: Calibration, claim: Claim, options: Namespace) -> Path:
    """Write the calibration to a file, else to the run's folder, and return its path."""
    from ..runtime.calibration.calibration_file import FILE

    path = Path(options.to) if options.to else claim.folder / FILE
    if options.to is None and not (claim.folder / "record.json").is_file():
        raise InputError("this run has no folder to write to", hint="say where with --to FILE")
    write_atomically(path, found.to_text())
    return path


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
