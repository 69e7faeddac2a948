"""Freed memory stays with the process while it is to, and goes back afterwards."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from khichdi.plugins.toolkit.malloc import _glibc

SCRIPT = """
import json, resource
import torch
from khichdi.plugins.toolkit.malloc import keeping_freed_memory

def step():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    some = [torch.ones(12_000_000) for _ in range(3)]  # 48 MB each
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def held():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()

torch.set_num_threads(1)
usual = [step() for _ in range(3)]
with keeping_freed_memory():
    kept = [step() for _ in range(3)]
    inside = held()
print(json.dumps({"usual": usual[-1], "kept": kept[-1], "inside": inside, "after": held()}))
"""


@pytest.mark.skipif(_glibc() is None, reason="another C library than glibc")
def test_a_step_maps_no_memory_that_the_last_one_freed() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    assert found["usual"] > 50, "freed memory is given back here, or there is nothing to show"
    assert found["kept"] < found["usual"] / 5
    assert found["after"] < found["inside"] - 100_000_000
