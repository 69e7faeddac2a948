"""Run `recipe` in children of one process that has loaded the heavy libraries already.

Most of a short run's time is the import of torch, transformers and bitsandbytes. A server imports
them once and forks for each command, so that each still is a process of its own: its folder,
environment, standard streams, exit status and signals are its own.
"""

from __future__ import annotations

import array
import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

PRELOADED = (
    "bitsandbytes",
    "datasets",
    "khichdi.cli.audit",
    "khichdi.cli.run",
    "khichdi.plugins.builtin.evaluator.generate",
    "khichdi.plugins.builtin.runtime.qlora.plugin",
    "khichdi.plugins.toolkit.model_loading",
    "peft",
    "transformers.models.mistral.modeling_mistral",
)
"""Modules that a run of a small recipe loads."""
READ_LATE = ("KHICHDI_", "PYTEST_")
"""Beginnings of variables that no import reads."""


class CommandServer:
    """A process that forks for each command."""

    def __init__(self) -> None:
        self.environment = _read_early(os.environ)
        self.connection, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, __file__, str(theirs.fileno())]
        subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
        theirs.close()

    def serves(self, environment: Mapping[str, str]) -> bool:
        """Return whether modules that were loaded in its own environment do for another."""
        return _read_early(environment) == self.environment

    def call(
        self, words: tuple[str, ...], folder: Path, environment: Mapping[str, str]
    ) -> tuple[int, str, str]:
        """Return the exit status, the standard output and the standard error of a command."""
        request = {"words": words, "folder": str(folder), "environment": dict(environment)}
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            streams = array.array("i", [out.fileno(), err.fileno()])
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, streams)
            self.connection.sendmsg([json.dumps(request).encode()], [rights])
            status = json.loads(self.connection.recv(1 << 10))
            for file in (out, err):
                file.seek(0)
            return status, out.read().decode(), err.read().decode()


@cache
def command_server() -> CommandServer:
    """Return this process's server, which ends with it."""
    return CommandServer()


def _read_early(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: one for name, one in environment.items() if not name.startswith(READ_LATE)}


def serve(connection: socket.socket) -> None:
    """Fork for each request that comes, until the other side is closed."""
    for module in PRELOADED:
        import_module(module)
    while True:
        text, ancillary, _, _ = connection.recvmsg(1 << 20, socket.CMSG_SPACE(8))
        if not text:
            return
        fds = array.array("i", ancillary[0][2])
        child = os.fork()
        if child == 0:
            connection.close()
            _perform(json.loads(text), *fds)
        for fd in fds:
            os.close(fd)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        connection.send(json.dumps(status).encode())


def _perform(request: dict[str, Any], out: int, err: int) -> NoReturn:
    """Be the command: never return."""
    status = 70
    try:
        os.dup2(out, 1)
        os.dup2(err, 2)
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update(request["environment"])
        sys.argv = ["recipe", *request["words"]]
        from khichdi.cli.main import command

        status = command()
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    serve(socket.socket(fileno=int(sys.argv[1])))
