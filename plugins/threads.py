"""How threads wait; no heavy import, because it must be said before torch is first imported."""

from __future__ import annotations

import os


def wait_without_spinning() -> None:
    """Let OpenMP threads sleep while they wait, unless the user has said how they are to wait.

    By default they spin, and where something else wants the processor too, a calculation of many
    small steps becomes ten times slower. Changes no bits. Has no effect once torch is loaded.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
