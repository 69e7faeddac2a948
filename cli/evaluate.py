"""Add evaluations to a finished run; nothing is trained again, and that run stays as it is.

FILE is a YAML list of `evaluate:` entries. The result is a run of its own, whose record names the
first; it is audited, compared and bundled like any other.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from ..project.evaluation import evaluate_run, open_evaluated
from ..project.evaluation_file import read_evaluations
from ..project.mirrors import open_mirror
from .arguments import RUN, consent_argument, mirror_argument
from .display import Display
from .interruption import report_interruption
from .output import emit
from .run import run_document, run_text


def arguments(parser: ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("run", metavar="RUN", help=f"{RUN}; or its adapter's folder")
    parser.add_argument(
        "--with",
        required=True,
        dest="evaluations",
        metavar="FILE",
        help="a YAML list of `evaluate:` entries; one of an evaluator that the run has replaces it",
    )
    mirror_argument(parser)
    consent_argument(parser)


def run(options: Namespace) -> int:
    """Evaluate, and print the new run's main lines."""
    file = read_evaluations(Path(options.evaluations))
    past = open_evaluated(options.run, options.store)
    display = Display(options)
    try:
        done = evaluate_run(
            past,
            file,
            display,
            mirror=open_mirror(options.mirror),
            allow_local_plugins=options.allow_local_plugins,
        )
    except KeyboardInterrupt:
        return report_interruption(display, options)
    first = done.record.evaluates
    document = run_document(done) | {"evaluates": first.to_json() if first else None}
    text = run_text(done).split("\n")
    text[-1] = f"next: recipe compare {done.run.name}"
    emit(options, document, "\n".join(text))
    return 0
