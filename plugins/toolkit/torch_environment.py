"""Set environment defaults before torch is imported; no heavy import."""

from __future__ import annotations

import os

SETTINGS = {
    # By default OpenMP threads spin, and where something else wants the processor too, a
    # calculation of many small steps becomes ten times slower. Never to spin costs more than the
    # steps themselves: waking a thread takes longer than most of them. So they spin for a moment.
    "OMP_WAIT_POLICY": "passive",
    "GOMP_SPINCOUNT": "20000",
    # oneDNN keeps a kernel for each shape that it met, a thousand of them twice over. Samples have
    # many lengths: that adds up to a gigabyte, and making them again takes no noticeable time.
    "LRU_CACHE_CAPACITY": "16",
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64",
}


def before_torch() -> None:
    """Let threads spin briefly and few kernels be kept, unless the user has set it.

    Changes no bits. Has no effect once torch is loaded.
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
