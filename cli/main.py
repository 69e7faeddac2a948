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
from importlib import import_module
from io import TextIOWrapper
from keyword import iskeyword
from typing import NoReturn

from ..schema.did_you_mean import nearest
from ..schema.errors import InputError, KhichdiError, RecipeError
from ..schema.printable import printable
from ..schema.secrets import mask, masked

COMMANDS = {
    "list": "list the shipped recipes",
    "new": "create a recipe for your data, from a starter or a shipped one",
    "validate": "check recipes; every error with its position",
    "fmt": "format recipes in canonical layout, comments kept",
    "import": "convert a configuration of axolotl, LLaMA-Factory or TRL",
    "export-config": "convert a recipe to a configuration of axolotl or TRL",
    "migrate": "upgrade recipes to this version of the language, comments kept",
    "schema": "print the JSON Schema of the language with the installed plugins",
    "show": "show the recipe with every default written out",
    "lock": "pin the bytes of every source and weight",
    "mirror": "copy every source to a folder, for machines without a network",
    "hash": "print the recipe hash and its parts",
    "plan": "show which steps are cached or run, and the estimated cost",
    "diff": "compare two recipes by meaning, and list the steps that rerun",
    "rehearse": "run the whole plan on a few rows and a tiny model, in about a minute",
    "run": "run a recipe, or resume it",
    "evaluate": "add evaluations to a finished run; nothing is trained again",
    "runs": "list the runs in the store, newest first, or show one",
    "rows": "write the curated rows of a run to a file",
    "sample": "show some rows of a run",
    "stats": "count the rows of a run: lengths, tasks, overlap, languages",
    "predictions": "list what a run's evaluation asked and what the model answered",
    "compare": "compare the evaluations of runs, row by row",
    "leaderboard": "rank teams or runs by mean win rates over scenarios",
    "report": "write a run, or two side by side, as one HTML page",
    "ui": "serve a board over the store: runs, comparisons, recipes, plugins",
    "trace": "trace a row through a run",
    "show-drops": "show the rows that a run dropped, and why",
    "generate": "generate answers by the model of a run",
    "chat": "chat with the model of a run, and with its base",
    "serve": "serve the model of a run over HTTP, as OpenAI's API does",
    "export": "export the model of a run: merged, GGUF, for Ollama, or the adapter",
    "audit": "derive a run's claims again, level by level",
    "calibrate": "calibrate audit tolerances from reruns",
    "bundle": "pack a run into one file, for an auditor",
    "sign": "sign a run with your key",
    "verify": "verify the signatures on a run or bundle",
    "card": "write a data set card, an ML-BOM or Croissant metadata",
    "store": "show, verify, repair and clean up the store",
    "doctor": "show machine, libraries and store, and what cannot train here",
    "plugins": "list, show, create and check plugins",
}


class Parser(argparse.ArgumentParser):
    """A parser whose errors are ours, so that `--json` holds for them too."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of leaving with a usage text."""
        raise InputError(message, hint=f"see `{self.prog} --help`")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status."""
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
    # `import` is a word of Python's, which no module can be called.
    file = f"{name}_" if iskeyword(name) else name.replace("-", "_")
    module = import_module(f".{file}", __package__)
    parser = Parser(prog=f"recipe {name}", description=module.__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--store", metavar="DIR", help="store folder (default: .khichdi)")
    parser.add_argument("-v", "--verbose", action="store_true", help="more output")
    parser.add_argument("-q", "--quiet", action="store_true", help="less output")
    module.arguments(parser)
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
