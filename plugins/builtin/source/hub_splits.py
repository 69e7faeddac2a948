"""Find the files of a split with the `datasets` library, without guessing.

A data set defines its splits in its card, in folder names or in file names; the library knows all
the conventions, and which of them wins.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import datasets

from khichdi.plugins.toolkit.scrubbing import first_line
from khichdi.schema.errors import FetchError

if TYPE_CHECKING:
    from .huggingface_params import HuggingFaceParams


def split_files(
    params: HuggingFaceParams, commit: str | None, folder: Path | None = None
) -> list[str]:
    """Return the paths of the files of the configuration and split that are asked for.

    They are looked for in the repository at a commit, or in a folder that holds its files.

    Raises:
        FetchError: there is no such configuration or split; lists those there are.
    """
    try:
        with TemporaryDirectory(prefix="khichdi-") as cache:
            builder = datasets.load_dataset_builder(
                str(folder.resolve()) if folder else params.repo,
                name=params.config,
                revision=commit,
                cache_dir=cache,
            )
    except (ValueError, RuntimeError, datasets.exceptions.DataFilesNotFoundError) as error:
        raise FetchError(
            f"{params.repo}: {first_line(error)}",
            hint="look at the data set's card for its configurations; where the library cannot "
            "tell, name the files in `include` and leave `config` and `split` out",
        ) from None
    by_split = {str(name): list(urls) for name, urls in (builder.config.data_files or {}).items()}
    if params.split is not None and params.split not in by_split:
        raise FetchError(
            f"{params.repo}, configuration `{builder.config.name}`, has no split `{params.split}`",
            hint=f"it has: {', '.join(sorted(by_split)) or 'none'}",
        )
    wanted = [params.split] if params.split is not None else sorted(by_split)
    start = f"{folder.resolve()}/" if folder else f"hf://datasets/{params.repo}@{commit}/"
    urls = [url for name in wanted for url in by_split[name]]
    if not all(url.startswith(start) for url in urls):
        raise FetchError(
            f"{params.repo}: the library found the split outside the repository's commit",
            hint=f"is there a folder named {params.repo} here? Run the command elsewhere, or name "
            "the files in `include`",
        )
    return [url.removeprefix(start) for url in urls]
