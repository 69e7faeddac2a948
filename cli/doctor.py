"""Show machine, libraries and store, and what is missing. Exit status 1 where nothing could train.

torch and other heavy libraries are not imported. The network is not used without `--network`.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from textwrap import wrap
from typing import Any

from ..project.doctor import Examination, Reach, StoreState, Torch, examine
from ..project.extras import NAME, Extra
from ..project.machine import Machine
from ..runtime.environment import installed
from .output import columns, duration, emit, gibibytes, size
from .wrap import width_of_terminal


def arguments(parser: ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "--network", action="store_true", help="ask the hub (HF_ENDPOINT) whether it answers"
    )


def run(options: Namespace) -> int:
    """Print the examination."""
    found = examine(options.store, network=options.network)
    emit(options, _document(found), _text(found))
    return 0 if found.can_train else 1


def _document(found: Examination) -> dict[str, Any]:
    store = found.store
    return {
        "can_train": found.can_train,
        "problems": found.problems,
        "khichdi": installed(NAME),
        "machine": asdict(found.machine),
        "torch": asdict(found.torch) if found.torch else None,
        "extras": [_extra(extra) for extra in found.extras],
        "runtimes": {name: {"missing": lacks} for name, lacks in found.runtimes.items()},
        "store": {**asdict(store), "folder": str(store.folder)},
        "network": asdict(found.network) if found.network else None,
    }


def _extra(extra: Extra) -> dict[str, Any]:
    return {**asdict(extra), "name": extra.name or None, "install": extra.install}


def _text(found: Examination) -> str:
    machine = found.machine
    rows = [
        (NAME, f"{installed(NAME)}, Python {machine.python}, {machine.system}"),
        ("processor", f"{machine.cpu}, {_count(machine.cores, 'core')}"),
        ("memory", _memory(machine)),
        *_gpus(machine),
        ("torch", _torch(found.torch)),
        ("store", _store(found.store)),
        ("hub", _hub(found.network)),
    ]
    parts = [columns(rows, indent=""), _libraries(found.extras)]
    if found.problems:
        parts.append("\n".join(f"problem: {text}" for text in found.problems))
    parts.append(f"next: {_next(found)}")
    return "\n\n".join(parts)


def _memory(machine: Machine) -> str:
    if machine.memory is None:
        return "unknown"
    free = "" if machine.free is None else f", {gibibytes(machine.free)} available now"
    return f"{gibibytes(machine.memory)}{free}"


def _gpus(machine: Machine) -> list[tuple[str, str]]:
    if not machine.gpus:
        return [("GPU", f"none ({machine.gpu_note}): training runs on the processor")]
    rows = []
    for gpu in machine.gpus:
        words = [gpu.name, gibibytes(gpu.memory) if gpu.memory else "memory unknown"]
        words += [f"driver {gpu.driver}"] if gpu.driver else []
        words += [f"compute capability {gpu.compute_capability}"] if gpu.compute_capability else []
        rows.append(("GPU", ", ".join(words)))
    return rows


def _torch(torch: Torch | None) -> str:
    if torch is None:
        return "missing"
    built = f"CUDA {torch.cuda}" if torch.cuda else f"ROCm {torch.rocm}" if torch.rocm else None
    return f"{torch.version}, built {f'for {built}' if built else 'for processors alone'}"


def _store(store: StoreState) -> str:
    used = store.used
    holds = f"{used.results} steps, {size(used.size)}" if used else "not there yet"
    return f"{store.folder}: {holds}; {size(store.free)} of {size(store.total)} free on its disk"


def _hub(reach: Reach | None) -> str:
    if reach is None:
        return "not asked (--network asks it)"
    if reach.seconds is None:
        return f"{reach.address} was not reached: {reach.reason}"
    return f"{reach.address} answered in {duration(reach.seconds)}"


def _libraries(extras: tuple[Extra, ...]) -> str:
    """Return the libraries of each extra, and below it what it limits where some are missing."""
    lines = ["libraries"]
    width = max(len(extra.name) for extra in extras) + 2
    for extra in extras:
        own = [str(library) for library in extra.libraries]
        own += [f"and those of {', '.join(extra.includes)}"] if extra.includes else []
        lines += _wrapped(", ".join(own), f"  {extra.name or 'always':<{width}}")
        if not extra.ready:
            lines += _wrapped(extra.purpose, f"  {'':<{width}}for: ")
            lines.append(f"  {'':<{width}}{extra.install}")
    return "\n".join(lines)


def _wrapped(text: str, first: str) -> list[str]:
    """Return lines, the first behind a label and the others below its text."""
    room = width_of_terminal() - len(first)
    lines = wrap(text, max(20, room), break_on_hyphens=False, break_long_words=False)
    return [(first if n == 0 else " " * len(first)) + line for n, line in enumerate(lines)]


def _next(found: Examination) -> str:
    if found.can_train:
        return "recipe run quickstart.yaml"
    train = next(extra for extra in found.extras if extra.name == "train")
    return "recipe doctor, after the problem is solved" if train.ready else train.install


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"
