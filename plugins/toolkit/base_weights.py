"""Read the base's published weights, one tensor at a time.

For adapters that start from the quantization error, and other uses of single tensors. Import
it inside a method: it brings torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ...schema.errors import StepError
from .tokenization import names


class BaseFiles:
    """Tensors of the safetensors files of a base folder, by their names in the model.

    The whole model is never in memory: a tensor is read when it is asked for.
    """

    def __init__(self, folder: Path, model: Any = None) -> None:
        """Look through the headers of the files.

        Args:
            folder: the verified files, as a job has them.
            model: the transformers model; some files leave out the prefix that its names have.

        Raises:
            StepError: the folder has no safetensors.
        """
        from safetensors import safe_open

        self._prefix = f"{getattr(model, 'base_model_prefix', '')}."
        self._files: dict[str, Path] = {}
        for path in sorted(folder.glob("*.safetensors")):
            with safe_open(path, framework="pt") as file:
                self._files |= dict.fromkeys(file.keys(), path)
        if not self._files:
            raise StepError(
                "the base has no safetensors to read single weights from",
                hint=f"it has the files {names(folder)}; name a repository that has safetensors",
            )

    def tensor(self, name: str) -> torch.Tensor:
        """Return a tensor on the CPU, in the type that it was published in.

        Raises:
            StepError: no file has it.
        """
        from safetensors import safe_open

        short = name.removeprefix(self._prefix)
        for known in (name, short):
            if known in self._files:
                with safe_open(self._files[known], framework="pt") as file:
                    found: torch.Tensor = file.get_tensor(known)
                return found
        raise StepError(
            f"the base's files have no tensor {name}",
            hint="transformers makes this weight from others; choose other modules",
        )
