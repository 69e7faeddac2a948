"""Run work in forked processes, with an injector of faults if asked."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable

from .points import Points


def fork(work: Callable[[], object], points: Points | None = None) -> int:
    """Do some work in a child, and return its process id; it exits with 1 if the work fails."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        if points is not None:
            points.install()
        work()
        status = 0
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(status)


def forked(work: Callable[[], object], points: Points | None = None, answer: bool = False) -> str:
    """Do some work in a child to its end, and return its result as JSON if asked for."""
    if not answer:
        os.waitpid(fork(work, points), 0)
        return ""
    return forked_together([work], points)[0]


def forked_together(works: list[Callable[[], object]], points: Points | None = None) -> list[str]:
    """Do each work in a child of its own, all at once, and return their results as JSON."""
    started = [_answering(lambda work=work: json.dumps(work()).encode(), points) for work in works]
    return [_answer(*one).decode() for one in started]


def in_child(work: Callable[[], bytes]) -> bytes:
    """Do some work in a child, and return what it answers; nothing where it fails."""
    return _answer(*_answering(work, None))


def _answering(work: Callable[[], bytes], points: Points | None) -> tuple[int, int]:
    end, told = os.pipe()
    write = os.write  # not the wrapped one

    def answer() -> None:
        rest = memoryview(work())
        while rest:
            rest = rest[write(told, rest) :]

    pid = fork(answer, points)
    os.close(told)
    return pid, end


def _answer(pid: int, end: int) -> bytes:
    with os.fdopen(end, "rb") as pipe:
        text = pipe.read()
    os.waitpid(pid, 0)
    return text
