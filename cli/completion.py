"""Print the script that completes commands, options, recipes and runs in a shell.

For bash, `eval "$(recipe completion bash)"` in ~/.bashrc; for zsh the same in ~/.zshrc; for fish,
`recipe completion fish | source` in its config. It needs the extra `completion`.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from ..schema.errors import WorkError
from .output import emit

SHELLS = ("bash", "zsh", "fish")


def arguments(parser: ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("shell", choices=SHELLS, metavar="SHELL", help=", ".join(SHELLS))


def run(options: Namespace) -> int:
    """Print the script."""
    try:
        from argcomplete import shellcode
    except ModuleNotFoundError:
        raise WorkError(
            "completion needs the package `argcomplete`, which is not installed",
            hint="install it with `pip install 'khichdi[completion]'`",
        ) from None
    script = shellcode(["recipe"], shell=options.shell)
    emit(options, {"shell": options.shell, "script": script}, script)
    return 0
