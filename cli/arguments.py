"""Arguments that several commands take."""

from __future__ import annotations

from argparse import ArgumentParser

from ..project.workers import VARIABLE
from .set_option import set_argument

RUN = "a run's name, a unique part of it, its folder, or `latest`"


def recipe_argument(parser: ArgumentParser, *, settings: bool = True) -> None:
    """Add the recipe that a command is about, and values set for this once."""
    parser.add_argument("file", metavar="FILE", help="a recipe, or a shipped one's name")
    if settings:
        set_argument(parser)


def until_argument(parser: ArgumentParser) -> None:
    """Add the step that the plan is to end with."""
    parser.add_argument(
        "--until",
        metavar="STEP",
        help="end with this step and what it needs: a step's name, `mixture` for all of the data, "
        "or a data set such as `data/lima`; the recipe hash is then of these steps",
    )


def run_argument(parser: ArgumentParser) -> None:
    """Add the run that a command is about."""
    parser.add_argument("run", metavar="RUN", help=RUN)


def rows_argument(parser: ArgumentParser) -> None:
    """Add the rows that a command is about: a run, and a step of it."""
    parser.add_argument("run", metavar="RUN[#STEP]", help=f"{RUN}; with a step as for --step")
    parser.add_argument(
        "--step",
        metavar="STEP",
        help="a step's name, `mixture` for the rows after the split (the default), or a data set "
        "such as `data/lima`",
    )


def target_argument(parser: ArgumentParser) -> None:
    """Add the run, record or bundle that a command is about."""
    parser.add_argument(
        "run",
        metavar="RUN",
        help=f"{RUN}; or its record.json, a bundle, or hf://OWNER/NAME[@REVISION]",
    )


def consent_argument(parser: ArgumentParser) -> None:
    """Add the consent to run the plugin files that a run or bundle contains."""
    from ..runtime.audit.plugin_files import CONSENT

    parser.add_argument(
        CONSENT,
        action="store_true",
        dest="allow_local_plugins",
        help="run the plugin files that the run or bundle contains: they are code by its author",
    )


def model_arguments(parser: ArgumentParser) -> None:
    """Add how the model of a run is loaded."""
    parser.add_argument(
        "--threads", type=int, metavar="N",
        help="CPU threads (default: as the run's evaluation had); rounding depends on them",
    )  # fmt: skip
    consent_argument(parser)


def mirror_argument(parser: ArgumentParser) -> None:
    """Add the mirror that replaces the hub, git servers and the web."""
    parser.add_argument(
        "--mirror", metavar="WHERE", help="a folder or address to get all sources from instead"
    )


def address_arguments(parser: ArgumentParser, host: str, port: int, variable: str) -> None:
    """Add where a server listens, and the token that clients have to show.

    Args:
        parser: what the arguments are added to.
        host: the address to listen on by default.
        port: the port by default.
        variable: the environment variable that has the token where the argument is left out.
    """
    parser.add_argument(
        "--host", default=host, metavar="HOST",
        help=f"address to listen on (default: {host}, this machine alone)",
    )  # fmt: skip
    parser.add_argument(
        "--port", type=int, default=port, metavar="N",
        help=f"port (default: {port}; 0 takes a free one)",
    )  # fmt: skip
    parser.add_argument("--token", metavar="TOKEN", help=f"what clients have to show ({variable})")


def contents_arguments(parser: ArgumentParser) -> None:
    """Add what a bundle of a run holds, and what its search for secrets lets pass."""
    parser.add_argument("--with-data", action="store_true", help="include sources, rows and packs")
    parser.add_argument(
        "--with-weights", action="store_true", help="include the base model's files"
    )
    parser.add_argument(
        "--without-states", action="store_true",
        help="omit the states that training segments are replayed from",
    )  # fmt: skip
    parser.add_argument(
        "--allow", metavar="WORD", action="append", default=[],
        help="allow a text that looks personal but is not, or all that a step or data set holds, "
        "such as data/lima",
    )  # fmt: skip


def workers_argument(parser: ArgumentParser) -> None:
    """Add the number of processes that share out the rows of a filter."""
    parser.add_argument(
        "--workers",
        metavar="N",
        help=f"processes that share out a filter's rows ({VARIABLE}, else one for each core); "
        "changes no result",
    )


def launch_argument(parser: ArgumentParser) -> None:
    """Add the processes that a training is divided over."""
    parser.add_argument(
        "--launch",
        metavar="N[,KEY=VALUE...]",
        help="processes of the training on this machine, one for each GPU; with strategy=fsdp each "
        "holds a part of the base; with nodes=M,node=I,rendezvous=HOST:PORT or `slurm` in front on "
        "several machines; "
        "changes no result",
    )
