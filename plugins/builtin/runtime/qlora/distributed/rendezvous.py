"""Rendezvous of training processes, and failure reports between machines.

On one machine it is a file. Several machines meet at a port of the first of them, which the process
that started the others holds open until all machines are done.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from khichdi.plugins.kinds import Launch
from khichdi.schema.errors import StepError

FAILED, DONE = "failed", "done"
ARRIVAL = timedelta(minutes=10)
"""How long machines wait for the first, and the first for the rest to end."""


@dataclass(frozen=True)
class Meeting:
    """How a process reaches the others: by a file on one machine, else at a host's port."""

    path: Path | None = None
    host: str = ""
    port: int = 0

    def __call__(self) -> Any:
        """Return torch's store."""
        from torch.distributed import FileStore, PrefixStore, TCPStore

        if self.path is not None:
            return FileStore(str(self.path))
        store = TCPStore(self.host, self.port, is_master=False, timeout=ARRIVAL)
        return PrefixStore("processes", store)


class News:
    """Messages between machines; on one machine there are none."""

    def __init__(self, launch: Launch, store: Any = None) -> None:
        self._launch, self._store = launch, store

    def failure(self, seconds: float = 0.0) -> str | None:
        """Return another machine's error; wait at most so long for it."""
        if self._store is None:
            return None
        end = time.monotonic() + seconds
        try:
            while not self._store.check([FAILED]):
                if time.monotonic() >= end:
                    return None
                time.sleep(0.1)
            return str(self._store.get(FAILED).decode())
        except RuntimeError:  # torch's, of a closed connection
            return f"machine 0 of {self._launch.nodes} is gone"

    def tell(self, message: str) -> None:
        """Report to the others that this machine failed."""
        if self._store is not None:
            with suppress(RuntimeError):
                node = f"machine {self._launch.node} of {self._launch.nodes}"
                self._store.set(FAILED, f"{node} failed: {message}")

    def done(self) -> None:
        """Report that this machine is done; the first one, which has the port, waits for all."""
        if self._store is None:
            return
        end = time.monotonic() + ARRIVAL.total_seconds()
        with suppress(RuntimeError):
            count = self._store.add(DONE, 1)
            while self._launch.node == 0 and count < self._launch.nodes and time.monotonic() < end:
                time.sleep(0.1)
                count = self._store.add(DONE, 0)


@contextmanager
def host(launch: Launch) -> Iterator[News]:
    """Open the rendezvous port of several machines, or connect to it; yield the messages.

    Raises:
        StepError: the port cannot be opened or reached.
    """
    if launch.nodes == 1:
        yield News(launch)
        return
    from torch.distributed import TCPStore

    name, port = _address(launch)
    try:
        store = TCPStore(
            name, port, is_master=launch.node == 0, wait_for_workers=False, timeout=ARRIVAL
        )
    except RuntimeError as error:
        does = "opened" if launch.node == 0 else "reached"
        raise StepError(
            f"{launch.rendezvous} cannot be {does}: {str(error).splitlines()[0]}",
            hint="it is an address of machine 0, with a port that is free there and that the "
            "other machines reach",
        ) from error
    yield News(launch, store)


def place(launch: Launch, folder: Path) -> Meeting:
    """Return where the processes meet; `folder` is this machine's own."""
    if launch.nodes == 1:
        return Meeting(path=folder / "meeting")
    name, port = _address(launch)
    return Meeting(host=name, port=port)


def _address(launch: Launch) -> tuple[str, int]:
    name, _, port = (launch.rendezvous or "").rpartition(":")
    return name.strip("[]"), int(port)
