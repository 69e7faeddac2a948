"""Parse the processes that a training is divided over, as `recipe run --launch` takes them.

It changes when a result is there and never the result itself, so it is in no recipe and in no key.
"""

from __future__ import annotations

import os
from typing import get_args

from ..plugins.kinds.launch import Launch, Strategy
from ..schema.errors import InputError
from .slurm import slurm_options

NUMBERS = {"processes": 1, "nodes": 1, "node": 0}
"""The keys that are whole numbers, with the lowest of each."""
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)
KEYS = (*NUMBERS, "strategy", "rendezvous")
SLURM = "slurm"
"""In front of the others: the environment of a Slurm job gives machines and processes."""


def parse_launch(text: str) -> Launch:
    """Return the processes that `N[,KEY=VALUE...]` or `slurm[,KEY=VALUE...]` asks for.

    Raises:
        InputError: it cannot be read, or contradicts itself.
    """
    first, _, rest = text.partition(",")
    slurm = slurm_options(os.environ) if first.strip() == SLURM else None
    found = _words(text) if slurm is None else slurm | (_words(rest) if rest else {})
    for key, lowest in NUMBERS.items():
        value = found.get(key, str(lowest))
        if not value.isdecimal() or int(value) < lowest:
            raise _wrong(text, f"{key} is `{value}`", f"a whole number from {lowest} on")
    numbers = {key: int(found.get(key, lowest)) for key, lowest in NUMBERS.items()}
    strategy = found.get("strategy", STRATEGIES[0])
    if strategy not in STRATEGIES:
        raise _wrong(text, f"strategy is `{strategy}`", " or ".join(STRATEGIES))
    if numbers["node"] >= numbers["nodes"]:
        expected = "one of them is meant, counted from 0"
        raise _wrong(text, f"node is {numbers['node']} of {numbers['nodes']}", expected)
    place = found.get("rendezvous")
    _, _, port = (place or "").rpartition(":")
    if (place is not None or numbers["nodes"] > 1) and not (port.isdecimal() and int(port) > 0):
        said = f"rendezvous is `{place}`" if place else "several machines have no rendezvous"
        raise _wrong(text, said, "HOST:PORT of machine 0")
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
