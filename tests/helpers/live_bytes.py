"""Counts the bytes of tensors that are alive, on a CPU as exactly as CUDA's allocator would."""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter


class LiveBytes(TorchDispatchMode):
    """Within it, `now` and `peak` are the bytes of tensors made inside that are (were) alive.

    Each storage counts once, whoever looks at it; it stops counting when it is freed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._seen: dict[int, weakref.ref[Any]] = {}

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None):
        result = function(*args, **(kwargs or {}))
        # A view of what was there before is nothing new.
        given = {x.untyped_storage()._cdata for x in tree_iter((args, kwargs)) if _is_tensor(x)}
        for item in tree_iter(result):
            if _is_tensor(item) and item.untyped_storage()._cdata not in given:
                self._add(item.untyped_storage())
        return result

    def _add(self, storage: Any) -> None:
        key = storage._cdata
        if key in self._seen:
            return
        size = storage.nbytes()

        def freed(_: Any) -> None:
            self.now -= size
            del self._seen[key]

        self._seen[key] = weakref.ref(storage, freed)
        self.now += size
        self.peak = max(self.peak, self.now)


def _is_tensor(item: Any) -> bool:
    return isinstance(item, torch.Tensor)
