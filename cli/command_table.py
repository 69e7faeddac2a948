"""List the commands; each is a module of this folder, imported only when it is asked for."""

from __future__ import annotations

from argparse import ArgumentParser
from importlib import import_module
from keyword import iskeyword
from typing import Any

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
    "publish": "publish a run to the Hugging Face hub, with what proves it",
    "sign": "sign a run with your key",
    "verify": "verify the signatures on a run or bundle",
    "card": "write a data set card, an ML-BOM or Croissant metadata",
    "store": "show, verify, repair and clean up the store",
    "doctor": "show machine, libraries and store, and what cannot train here",
    "env": "list machine, libraries and settings, with the origin of each value",
    "completion": "print the completion script of a shell",
    "plugins": "list, show, create and check plugins",
}


def module_of(name: str) -> Any:
    """Import the module of a command."""
    # `import` is a word of Python's, which no module can be called.
    file = f"{name}_" if iskeyword(name) else name.replace("-", "_")
    return import_module(f".{file}", __package__)


def add_arguments(parser: ArgumentParser, module: Any) -> None:
    """Add the arguments of every command, and a command's own."""
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--store", metavar="DIR", help="store folder (default: .khichdi)")
    parser.add_argument("-v", "--verbose", action="store_true", help="more output")
    parser.add_argument("-q", "--quiet", action="store_true", help="less output")
    module.arguments(parser)
