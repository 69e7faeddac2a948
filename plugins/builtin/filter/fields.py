"""The fields with text that filters take; in a file without heavy imports."""

from __future__ import annotations

from typing import Literal

TextField = Literal["instruction", "input", "output"]
