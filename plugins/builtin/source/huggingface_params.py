"""The parameters of the `huggingface` source."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from khichdi.plugins import Params

from .globs import GLOBS_HELP, Glob


class HuggingFaceParams(Params):
    """Which repository, at which revision, and which of its files."""

    repo: str = Field(
        pattern=r"^([A-Za-z0-9._-]+/)?[A-Za-z0-9._-]+$",
        description="Repository on the hub: `owner/name`.",
    )
    repo_type: Literal["model", "dataset"] | None = Field(
        None,
        description=(
            "Type of the repository. If omitted: a data set when `config` or `split` is given, "
            "else a model."
        ),
    )
    revision: str = Field(
        "main",
        min_length=1,
        description="A branch, a tag or a commit; `recipe lock` pins the commit.",
    )
    include: tuple[Glob, ...] | None = Field(
        None,
        min_length=1,
        description="Files to fetch, as patterns. If omitted: the weights (safetensors), "
        "configuration, tokenizer and chat templates of a model, or every data file of a data set. "
        f"{GLOBS_HELP}",
    )
    exclude: tuple[Glob, ...] = Field((), description="Files to exclude, as patterns.")
    config: str | None = Field(
        None, min_length=1, description="Configuration of the data set, as named in its card."
    )
    split: str | None = Field(
        None,
        pattern=r"^\w+([.-]\w+)*$",
        description="Split of the data set; the data set defines which files belong to it.",
    )

    @property
    def holds(self) -> str:
        """The repository's type: `model` or `dataset`."""
        return self.repo_type or ("dataset" if self.config or self.split else "model")

    @model_validator(mode="after")
    def _splits_are_of_data_sets(self) -> Self:
        if self.repo_type == "model" and (self.config or self.split):
            raise ValueError("`config` and `split` are for data sets: set `repo_type: dataset`")
        if self.include is not None and set(self.include) <= set(self.exclude):
            raise ValueError("`exclude` leaves nothing of what `include` matches")
        return self
