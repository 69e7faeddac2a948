"""Parse `--launch`: over how many processes `recipe run` divides training.

It changes when a result is there and never what it is, so it is in no recipe and in no key.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import get_args

from ..plugins.kinds.launch import Launch, Strategy
from ..schema.errors import InputError

NUMBERS = {"processes": 1, "nodes": 1, "node": 0}
"""The keys that are whole numbers, with the lowest of each."""
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)
KEYS = (*NUMBERS, "strategy", "rendezvous")


def launch_argument(parser: ArgumentParser) -> None:
    """Add the processes that a training is divided over."""
    parser.add_argument(
        "--launch",
        metavar="N[,KEY=VALUE...]",
        help=(
            "training processes on this machine, one per GPU; strategy=fsdp shards the base across "
            "them; nodes=M,node=I,rendezvous=HOST:PORT spans several machines; changes no result"
        ),
    )


def chosen_launch(options: Namespace) -> Launch | None:
    """Return what `--launch` says, if anything.

    Raises:
        InputError: it cannot be read, or contradicts itself.
    """
    if options.launch is None:
        return None
    found = _words(options.launch)
    for key, lowest in NUMBERS.items():
        text = found.get(key, str(lowest))
        if not text.isdecimal() or int(text) < lowest:
            raise _wrong(options.launch, f"{key} is `{text}`", f"a whole number from {lowest} on")
    numbers = {key: int(found.get(key, lowest)) for key, lowest in NUMBERS.items()}
    strategy = found.get("strategy", STRATEGIES[0])
    if strategy not in STRATEGIES:
        raise _wrong(options.launch, f"strategy is `{strategy}`", " or ".join(STRATEGIES))
    if numbers["node"] >= numbers["nodes"]:
        expected = "nodes are numbered from 0"
        raise _wrong(options.launch, f"node is {numbers['node']} of {numbers['nodes']}", expected)
    place = found.get("rendezvous")
    _, _, port = (place or "").rpartition(":")
    if (place is not None or numbers["nodes"] > 1) and not (port.isdecimal() and int(port) > 0):
        said = f"rendezvous is `{place}`" if place else "several machines have no rendezvous"
        raise _wrong(options.launch, said, "HOST:PORT of machine 0")
    known = STRATEGIES[STRATEGIES.index(strategy)]
    return Launch(strategy=known, rendezvous=place, **numbers)


def _words(text: str) -> dict[str, str]:
    """Return keys and values; the first may be a number alone."""
    found: dict[str, str] = {}
    for place, word in enumerate(text.split(",")):
        key, equals, value = word.strip().partition("=")
        if not equals and place == 0:
            key, value = "processes", key
        if key not in KEYS or not value or key in found:
            why = f"`{key}` appears twice" if key in found else f"`{word}` is not a key"
            raise _wrong(text, why, f"N, or KEY=VALUE with a key of {', '.join(KEYS)}")
        found[key] = value
    return found


def _wrong(text: str, what: str, expected: str) -> InputError:
    return InputError(
        f"--launch {text}: {what}; expected: {expected}",
        hint="for instance --launch 2, or --launch 8,strategy=fsdp",
    )
