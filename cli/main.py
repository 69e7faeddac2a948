"""The `recipe` command: find the sub-command, and turn every error into a sentence.

A sub-command is a module of this folder with `arguments(parser)` and `run(options)`; it is imported
only when it is the one that was asked for, so that `--help` and checks start fast.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import shlex
import sys
from io import TextIOWrapper
from typing import NoReturn

from ..schema.did_you_mean import nearest
from ..schema.errors import InputError, KhichdiError, RecipeError
from ..schema.printable import printable
from ..schema.secrets import mask, masked
from .command_table import COMMANDS as COMMANDS
from .command_table import add_arguments, module_of

COMPLETING = "_ARGCOMPLETE"
"""Set by the shell while it asks for completions."""


class Parser(argparse.ArgumentParser):
    """A parser whose errors are ours, so that `--json` holds for them too."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of leaving with a usage text."""
        raise InputError(message, hint=f"see `{self.prog} --help`")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    if arguments is None and COMPLETING in os.environ:
        from .completer import complete

        return complete()
    words = sys.argv[1:] if arguments is None else arguments
    as_json = "--json" in words
    try:
        return _dispatch(words)
    except KhichdiError as error:
        if error.__cause__ is not None:
            _debug()
        return _fail(error, as_json)
    except KeyboardInterrupt:
        print("interrupted; finished steps are kept, run again to resume", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output closed it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except OSError as error:
        from ..runtime.store.store import store_error

        return _fail(store_error(error, error.filename or "the work stopped"), as_json)
    except Exception as error:
        _debug()
        fault = KhichdiError(
            f"a fault in khichdi: {type(error).__name__}: {error}",
            hint="please report it, with the traceback that KHICHDI_DEBUG=1 shows",
        )
        return _fail(fault, as_json)


def command() -> int:
    """Run the command line as a process of its own, which ends with it."""
    for stream in (sys.stdout, sys.stderr):
        # Characters that the terminal's encoding lacks are escaped instead of an error.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    # Other people's plugins of pydantic have no say here, and looking for them takes time.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    status = main()
    # Else Python looks for cycles among all that was loaded, only to give it back to the system.
    gc.freeze()
    return status


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        print(_usage())
        return 0 if words else 2
    if words[0] == "--version":
        from importlib.metadata import version

        print(f"recipe (khichdi {version('khichdi')})")
        return 0
    name = words[0]
    if name not in COMMANDS:
        near = nearest(name, COMMANDS)
        hint = f"did you mean `recipe {near}`?" if near else "see `recipe --help`"
        raise InputError(f"there is no command `{name}`", hint=hint)
    module = module_of(name)
    parser = Parser(prog=f"recipe {name}", description=module.__doc__)
    add_arguments(parser, module)
    given = argparse.Namespace(command=shlex.join(["recipe", *words]))
    status: int = module.run(parser.parse_args(words[1:], given))
    return status


def _usage() -> str:
    lines = [f"  {name:<13} {text}" for name, text in COMMANDS.items()]
    return "\n".join(
        [
            "usage: recipe COMMAND ...",
            "",
            "Fine-tuning recipes that can be written, diffed, run and proved.",
            "",
            *lines,
            "",
            "`recipe COMMAND --help` shows its options. Every command takes --json.",
            "start with: recipe run quickstart.yaml",
        ]
    )


def _debug() -> None:
    """Print the traceback of the error being handled, if the user asks for it."""
    if os.environ.get("KHICHDI_DEBUG"):
        from traceback import format_exc

        print(printable(mask(format_exc())), end="", file=sys.stderr)


def _fail(error: KhichdiError, as_json: bool) -> int:
    """Print an error and return the exit status that goes with it."""
    if as_json:
        print(json.dumps(masked(error.as_json()), indent=1))
    elif isinstance(error, RecipeError):
        from .diagnostics import show

        show(error.diagnostics, sys.stderr)
    else:
        text = f"error: {error}" if not error.file else str(error)
        print(printable(mask(text)), file=sys.stderr)
    return error.status


if __name__ == "__main__":
    sys.exit(main())
