"""Read from Slurm's environment which machine of a training this is, and where machines meet.

`srun` starts one task on each machine, and sets the same variables in every release of Slurm.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..schema.errors import InputError

FIRST_PORT, PORTS = 20000, 10000
"""A job's port follows from its number: below those that systems hand out by themselves."""


def slurm_options(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the options of `--launch` that a step of a Slurm job implies, by key.

    Raises:
        InputError: this is no task of a step, or a step with several tasks on one machine.
    """
    needed = ("SLURM_JOB_ID", "SLURM_PROCID", "SLURM_NTASKS", "SLURM_NNODES")
    missing = [name for name in needed if not environment.get(name, "").isdecimal()]
    if missing:
        raise InputError(
            f"--launch slurm: {', '.join(missing)} not set; expected: a step that srun started",
            hint="srun --ntasks-per-node=1 recipe run FILE --launch slurm",
        )
    job, node, tasks, nodes = (int(environment[name]) for name in needed)
    nodes = int(environment.get("SLURM_STEP_NUM_NODES", nodes))
    if tasks != nodes:
        raise InputError(
            f"--launch slurm: {tasks} tasks on {nodes} machines; expected: one on each, which "
            "starts the processes of its machine",
            hint="srun --ntasks-per-node=1 recipe run FILE --launch slurm",
        )
    found = {"nodes": str(nodes), "node": str(node)}
    if gpus := environment.get("SLURM_GPUS_ON_NODE"):
        found["processes"] = gpus
    if nodes > 1:
        names = environment.get("SLURM_STEP_NODELIST") or environment.get("SLURM_JOB_NODELIST", "")
        found["rendezvous"] = f"{first_host(names)}:{FIRST_PORT + job % PORTS}"
    return found


def first_host(names: str) -> str:
    """Return the first of machines as Slurm writes them: `rack[3-4]n[01-16,20],gpu7`."""
    first = re.match(r"(?:[^,\[]|\[[^\]]*\])*", names)
    return re.sub(r"\[(\d+)[^\]]*\]", r"\1", first.group() if first else "")
