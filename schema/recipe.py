"""The recipe: what is asked. Language version 1.

These classes are the fixed part of the language. A `Step` names a plugin by `use`; its other keys
are that plugin's parameters. `compiler.bind` makes subclasses of these classes whose steps are
unions over the installed plugins, so that parameters are checked and completed with the rest.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticKnownError

from .document import Document, operational

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=60)]
"""Lower-case letters, digits, dots, dashes and underscores: safe in step names and file names."""


def _no_truth(value: Any) -> Any:
    """Refuse `true`, which Python takes for 1."""
    if isinstance(value, bool):
        raise PydanticKnownError("literal_error", {"expected": "1"})
    return value


Version = Annotated[Literal[1], BeforeValidator(_no_truth)]
"""A version of the language that this compiler speaks."""


class Step(Document):
    """A plugin by name; the other keys are its parameters."""

    model_config = ConfigDict(allow_inf_nan=False)

    use: str = Field(description="The plugin's name.")

    def params(self) -> dict[str, Any]:
        """Return the plugin's parameters as JSON values, defaults written out."""
        own = set(type(self).model_fields) - {"use"}
        return self.model_dump(mode="json", include=own)


class Model(Document):
    """The base model, how it is stored, and which weights are trained."""

    base: Step = Field(description="Where the base weights and the tokenizer come from.")
    license: str | None = operational(
        None, description="SPDX id of the base model's licence; rules look at it."
    )
    quantization: Step = Field(description="How the base weights are stored while training.")
    adapter: Step = Field(description="Which weights are trained.")


class DataSet(Document):
    """One source of rows, from bytes to the rows that go into the mixture."""

    source: Step = Field(description="Where the bytes come from.")
    read: Step = Field(description="How bytes become rows.")
    license: str | None = Field(
        None, description="SPDX id of the data set's licence; rows that state none get this one."
    )
    filters: tuple[Step, ...] = Field((), description="What keeps rows out, in this order.")
    score: Step | None = Field(None, description="What gives each row a number to sample by.")
    sample: Step = Field(description="Which of the rows that are left go into the mixture.")


class Benchmark(Document):
    """An evaluation set: rows that must not be trained on. Filters compare data sets with it."""

    source: Step = Field(description="Where the bytes come from.")
    read: Step = Field(description="How bytes become rows.")
    filters: tuple[Step, ...] = Field((), description="What keeps rows out, in this order.")


TextField = Literal["instruction", "input", "output", "task", "provenance"]
"""A column of text that near-identical rows share."""

Weight = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Validation(Document):
    """The rows held out of training: a count, or a fraction of the mixture."""

    count: int | None = Field(None, ge=1, description="How many rows are held out.")
    fraction: float | None = Field(
        None, gt=0, lt=1, description="Which part of the mixture is held out."
    )
    group_by: tuple[TextField, ...] = Field(
        (),
        description="Rows whose text in all of these fields is the same, but for case, white space "
        "and punctuation, are held out together or not at all. Then `count` is what is held out "
        "at most.",
    )

    @model_validator(mode="after")
    def _one_of(self) -> Validation:
        if (self.count is None) == (self.fraction is None):
            raise ValueError("give either `count` or `fraction`")
        return self


class Mixture(Document):
    """How the data sets become one."""

    filters: tuple[Step, ...] = Field(
        (), description="What keeps rows out of the mixture, data sets in order of their names."
    )
    order: Literal["shuffle", "by-source", "interleave", "short-first"] = Field(
        "shuffle",
        description="Order of training rows: by chance; `by-source` keeps each data set together; "
        "`interleave` shuffles each data set and spreads it by `weights`; `short-first` is a "
        "curriculum by length of text.",
    )
    weights: dict[Name, Weight] | None = Field(
        None,
        min_length=1,
        description="For `interleave`: how often each data set comes up, for as long as it has "
        "rows; every row is taken once. Left out, data sets are spread evenly from start to end.",
    )
    validation: Validation | None = Field(None, description="The rows held out of training.")


class Train(Step):
    """How packs of tokens become an adapter; the other keys are the runtime's parameters."""

    template: Step = Field(description="How a row is rendered as text.")
    sequence_len: int = Field(
        2048, ge=8, description="Tokens in a pack; a longer sample is cut at the end, and counted."
    )
    sample_packing: bool = Field(
        True,
        description="Whether several samples share a pack; how, `packing_strategy` says.",
    )
    packing_strategy: Literal["bfd", "wrapped"] = Field(
        "bfd",
        description="`bfd` (best fit, longest first) puts whole samples into a pack, and they "
        "never see one another; `wrapped` runs all samples into one text and cuts it every "
        "`sequence_len` tokens: no sample is cut short, and those of a pack see what is before "
        "them.",
    )


PluginFile = Annotated[str, StringConstraints(pattern=r"^[^\\]+\.py$", max_length=400)]
"""A path of a Python file, with forward slashes."""


class Recipe(Document):
    """A whole recipe."""

    recipe: Version = Field(description="Version of the recipe language.")
    name: Name = operational("recipe", description="What the recipe is called.")
    description: str | None = operational(None, description="One line for `recipe list`.")
    plugins: tuple[PluginFile, ...] = operational(
        (),
        description="Python files whose plugins this recipe may name, by their paths seen from "
        "this file; each lies beside it or below. They are run when the recipe is read.",
        exclude_if=lambda files: not files,
    )
    seed: int = Field(0, ge=0, lt=2**48, description="All randomness is a function of this.")
    model: Model = Field(description="The model to train.")
    data: dict[Name, DataSet] = Field(min_length=1, description="Data sets by name.")
    benchmarks: dict[Name, Benchmark] = Field(
        {}, description="Evaluation sets by name; filters name them in `against:`."
    )
    mixture: Mixture = Field(default=Mixture(), description="How the data sets become one.")
    train: Train = Field(description="How the model is trained.")
    evaluate: tuple[Step, ...] = Field(
        (), description="What is measured on held-out rows, before and after training."
    )
    export: tuple[Step, ...] = Field(
        (), description="What is made of base and adapter for others, beside the adapter itself."
    )
    rules: tuple[Step, ...] = operational((), description="Conditions that the recipe must meet.")
