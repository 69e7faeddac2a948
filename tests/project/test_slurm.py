"""The environment of a Slurm job says where a training is."""

from __future__ import annotations

import pytest

from khichdi.plugins import Launch
from khichdi.project.launch import parse_launch
from khichdi.project.slurm import first_host
from khichdi.schema.errors import InputError

STEP = {
    "SLURM_JOB_ID": "4711003",
    "SLURM_PROCID": "1",
    "SLURM_NTASKS": "2",
    "SLURM_NNODES": "2",
    "SLURM_STEP_NODELIST": "gpu[07-08]",
}


@pytest.fixture
def step(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Return the environment of the second task of a step on two machines."""
    for name, value in STEP.items():
        monkeypatch.setenv(name, value)
    for name in ("SLURM_STEP_NUM_NODES", "SLURM_GPUS_ON_NODE"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.mark.parametrize(
    ("names", "first"),
    [
        ("gpu7", "gpu7"),
        ("gpu7,gpu9", "gpu7"),
        ("gpu[07-12]", "gpu07"),
        ("gpu[3,5-6],cpu1", "gpu3"),
        ("rack[3-4]n[01-16,20].site,gpu7", "rack3n01.site"),
    ],
)
def test_the_first_machine_hosts(names: str, first: str) -> None:
    assert first_host(names) == first


def test_a_task_of_a_step_is_a_machine(step: pytest.MonkeyPatch) -> None:
    assert parse_launch("slurm") == Launch(nodes=2, node=1, rendezvous="gpu07:21003")
    step.setenv("SLURM_GPUS_ON_NODE", "8")
    assert parse_launch("slurm,strategy=fsdp").processes == 8
    assert parse_launch("slurm,4,rendezvous=ib7:9").processes == 4
    assert parse_launch("slurm,4,rendezvous=ib7:9").rendezvous == "ib7:9"


def test_one_machine_needs_no_place_to_meet(step: pytest.MonkeyPatch) -> None:
    for name, value in {"PROCID": "0", "NTASKS": "1", "STEP_NUM_NODES": "1"}.items():
        step.setenv(f"SLURM_{name}", value)
    assert parse_launch("slurm") == Launch()


def test_what_is_no_step_or_has_more_tasks_is_refused(step: pytest.MonkeyPatch) -> None:
    step.setenv("SLURM_NTASKS", "16")
    with pytest.raises(InputError, match="16 tasks on 2 machines; expected: one on each"):
        parse_launch("slurm")
    step.delenv("SLURM_PROCID")
    with pytest.raises(InputError, match="SLURM_PROCID not set") as error:
        parse_launch("slurm")
    assert error.value.hint == "srun --ntasks-per-node=1 recipe run FILE --launch slurm"
