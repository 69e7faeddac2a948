"""Evaluate a row condition once per distinct value, not once per row."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    Bools = np.ndarray[Any, np.dtype[np.bool_]]
    Counts = np.ndarray[Any, np.dtype[np.int64]]

Condition = Callable[[str], bool]


def meeting(column: pa.Array, meets: Condition, *, repeats: bool = True) -> Bools:
    """Return, for each text of a column without nulls, whether it meets the condition.

    `repeats` means that texts are expected to occur many times; else looking for those that
    are would cost more than it saves.
    """
    import numpy as np

    if not repeats:
        return np.fromiter(map(meets, column.to_pylist()), np.bool_, len(column))
    encoded = column.dictionary_encode()
    values = encoded.dictionary.to_pylist()
    flags = np.fromiter(map(meets, values), np.bool_, len(values))
    found: Bools = flags[encoded.indices.to_numpy(zero_copy_only=False)]
    return found


def meeting_items(column: pa.Array, meets: Condition) -> Counts:
    """Return, for each list of a column, how many of its texts meet the condition."""
    import numpy as np
    import pyarrow.compute as pc

    flags = meeting(pc.list_flatten(column), meets)
    rows = pc.list_parent_indices(column).to_numpy(zero_copy_only=False)
    return np.bincount(rows[flags], minlength=len(column))


def lengths(column: pa.Array) -> Counts:
    """Return how many items each list of a column has."""
    import pyarrow.compute as pc

    found: Counts = pc.list_value_length(column).to_numpy(zero_copy_only=False)
    return found


def note(reasons: list[str | None], rows: Any, reason: str) -> None:
    """Write the reason for the rows marked in an array of truth values."""
    for row in rows.nonzero()[0].tolist():
        reasons[row] = reason
